"""Run the benchmarks of speed one after the other, and write what they printed into ``README.md`` beside this file.

    python -m tests.benchmarks [NAME ...] [--anew] [--write]

A piece is one benchmark: what it prints is kept in ``results/NAME.txt`` under the commit and the machine it ran on, and
a run that was stopped goes on with the next one that has no result of this commit. ``--anew`` runs those named whatever
is kept; ``--write`` runs nothing and writes the page from what is kept. Run it where nothing else runs: every page says
how busy the machine was before each piece.
"""

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

FOLDER = Path(__file__).parent
RESULTS, PAGE = FOLDER / "results", FOLDER / "README.md"
HEAD = """# Benchmarks of speed

Ours beside the named peer in one run, in turn, as medians of ratios; equal answers stand beside them. `python -m
tests.benchmarks` runs them all, one after the other, and writes this page; a benchmark without a result of its own says
so. A figure of a machine with other work beside it (load above 1) is no figure of speed: its ratios may be.
"""


@dataclass(frozen=True)
class Benchmark:
    """One piece."""

    name: str
    """Of its module in ``tests.benchmarks``."""
    about: str
    arguments: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """As a person types it."""
        return " ".join(("python -m", f"tests.benchmarks.{self.name}", *self.arguments))

    @property
    def result(self) -> Path:
        """Where what it printed is kept."""
        return RESULTS / f"{self.name}.txt"


BENCHMARKS = (
    Benchmark("receive", "Receiving instances, beside Orthanc and DCMTK's storescp."),
    Benchmark("idle", "A node that has nothing to do."),
    Benchmark("soak", "Thousands of studies through a whole node.", ("--studies", "2000", "--slices", "20")),
    Benchmark("console", "Pages of the console over 1,000 studies; Quality over 100,000 findings.", ("--audit",)),
    Benchmark("reading_cost", "Reading a series."),
    Benchmark("saliency", "Saliency methods beside captum, pytorch-grad-cam, PAIR and MONAI."),
    Benchmark("saliency_3d", "Saliency methods on a volume."),
    Benchmark("trust", "Criteria of a map, beside the packages that have them."),
    Benchmark("trust_cost", "What trust in one map costs under each budget."),
    Benchmark("commissioning", "Commissioning a bundle."),
    Benchmark("audit", "Control charts and the monthly report over years of a hospital."),
)


def commit() -> str:
    """Return the commit of this checkout, short, and whether files differ from it."""
    head = _git("rev-parse", "--short", "HEAD")
    return f"{head} and changes" if _git("status", "--porcelain", "--untracked-files=no") else head


def run(benchmark: Benchmark) -> int:
    """Run one, showing what it prints, and keep it where it ended well; give its exit status."""
    began, load = time.monotonic(), os.getloadavg()[0]
    words = [sys.executable, "-m", f"tests.benchmarks.{benchmark.name}", *benchmark.arguments]
    printed: list[str] = []
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            printed.append(line)
    if process.returncode == 0:
        minutes = (time.monotonic() - began) / 60
        about = (
            f"{datetime.now(UTC):%Y-%m-%d}, commit {commit()}, {os.cpu_count()} cores of {platform.machine()}, "
            f"Python {platform.python_version()}, load before it {load:.1f}, {minutes:.0f} minutes"
        )
        RESULTS.mkdir(exist_ok=True)
        benchmark.result.write_text(f"{about}\n{''.join(printed)}", encoding="utf-8")
    return process.returncode


def is_done(benchmark: Benchmark) -> bool:
    """Whether a result of this commit is kept."""
    return benchmark.result.exists() and f"commit {commit()}," in benchmark.result.read_text(encoding="utf-8")


def page() -> Iterator[str]:
    """Give the page, part by part."""
    yield HEAD
    for benchmark in BENCHMARKS:
        yield f"## {benchmark.name}\n\n{benchmark.about}\n\n    {benchmark.command}\n"
        if benchmark.result.exists():
            about, _, printed = benchmark.result.read_text(encoding="utf-8").partition("\n")
            yield f"{about}:\n\n```\n{printed.rstrip()}\n```\n"
        else:
            yield "Not run to its end on any commit that is here.\n"


def _git(*words: str) -> str:
    return subprocess.run(["git", "-C", str(FOLDER), *words], capture_output=True, text=True, check=True).stdout.strip()


def main(words: Sequence[str] | None = None) -> int:
    """Run what is asked for and has no result yet, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [benchmark.name for benchmark in BENCHMARKS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}; all by default")
    parser.add_argument("--anew", action="store_true", help="whatever is kept")
    parser.add_argument("--write", action="store_true", help="write the page, run nothing")
    asked = parser.parse_args(words)
    if unknown := sorted({*asked.names} - {*names}):
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(names)}")
    failed = []
    for benchmark in () if asked.write else BENCHMARKS:
        if benchmark.name in (asked.names or names) and (asked.anew or not is_done(benchmark)):
            print(f"== {benchmark.command}", flush=True)
            failed += [benchmark.name] if run(benchmark) else []
    PAGE.write_text("\n".join(page()), encoding="utf-8")
    if failed:
        print(f"Failed, and not kept: {', '.join(failed)}.")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
