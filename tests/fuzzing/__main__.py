"""Fuzz one parser: ``python -m tests.fuzzing TARGET --seconds 300 [--seed N] [--engine atheris]``.

Without an engine, seeds are changed at random, and what makes the parser answer otherwise than before is kept as a
further seed of this run. With atheris (coverage-guided, from PyPI) libFuzzer chooses the changes. What is found lies in
``tests/fuzzing/findings/TARGET`` and is run by the tests from then on.
"""

import argparse
import hashlib
import random
import sys
import time
import traceback
from pathlib import Path

from tests.fuzzing.mutation import mutated
from tests.fuzzing.targets import FINDINGS, TARGETS, FuzzTarget, target_of

SLOW_SECONDS = 5.0
"""Of the processor, for one input: more is a finding."""
MOST_KEPT = 2000
"""Further seeds of one run."""


def main() -> int:
    """Fuzz, print what was done, and give 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=list(TARGETS))
    parser.add_argument("--seconds", type=float, default=60.0, help="of the processor")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", choices=["bytes", "atheris"], default="bytes")
    chosen = parser.parse_args()
    if chosen.engine == "atheris":
        return with_atheris(chosen.target, chosen.seconds, chosen.seed)
    target = target_of(chosen.target)
    found = by_bytes(target, chosen.seconds, chosen.seed)
    return 1 if found else 0


def by_bytes(target: FuzzTarget, seconds: float, seed: int) -> int:
    """Change seeds at random for so many seconds of the processor; give how many findings there are."""
    draw, seeds, answers = random.Random(f"{target.name}:{seed}"), list(target.seeds), set[str]()
    found, tried, refused, end = set[str](), 0, 0, time.process_time() + seconds
    while time.process_time() < end:
        content = mutated(seeds, target.words, draw)
        began, answer = time.process_time(), "accepted"
        try:
            target.parse(content)
        except target.refusals as error:
            refused, answer = refused + 1, _kind(error)
        except Exception as error:  # noqa: BLE001 - the finding
            answer = _kind(error)
            if answer not in found:
                found.add(answer)
                report(target, content, error)
        if time.process_time() - began > SLOW_SECONDS:
            found.add(f"slow: {answer}")
            report(target, content, None)
        if answer not in answers and len(seeds) < MOST_KEPT:
            answers.add(answer)
            seeds.append(content)
        tried += 1
    sys.stdout.write(
        f"{target.name}: {tried} inputs in {seconds:g} s, {refused} refused in {len(answers)} ways, "
        f"{len(found)} findings\n"
    )
    return len(found)


def with_atheris(name: str, seconds: float, seed: int) -> int:
    """Have libFuzzer choose the changes, by the coverage of what the target parses with."""
    import atheris

    with atheris.instrument_imports():
        target = target_of(name)
    corpus = Path(f"build/fuzzing/{name}")
    corpus.mkdir(parents=True, exist_ok=True)
    for content in target.seeds:
        (corpus / hashlib.sha256(content).hexdigest()[:16]).write_bytes(content)
    found = FINDINGS / name
    found.mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={int(seconds)}", f"-seed={seed + 1}", f"-artifact_prefix={found}/", "-timeout=20"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], lambda content: target.refuses(content) and None)
    atheris.Fuzz()
    return 0


def report(target: FuzzTarget, content: bytes, error: Exception | None) -> None:
    """Keep an input that was found, and print why."""
    folder = FINDINGS / target.name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / hashlib.sha256(content).hexdigest()[:16]
    path.write_bytes(content)
    said = "".join(traceback.format_exception(error)[-6:]) if error else f"more than {SLOW_SECONDS:g} s\n"
    sys.stdout.write(f"{path}: {said}")


def _kind(error: Exception) -> str:
    """Return the class of an error, and the two innermost lines it comes through."""
    places = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-2:]]
    return ":".join([type(error).__name__, *places])


if __name__ == "__main__":
    sys.exit(main())
