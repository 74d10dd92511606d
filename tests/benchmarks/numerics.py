"""The tests that rest on numbers, under other processors' arithmetic: ``python -m tests.benchmarks.numerics``.

Torch, oneDNN, MKL and numpy choose kernels by the processor, each by itself. Each can be told to use fewer instructions
than there are; so one machine stands for the older ones. ``pytest -m numerics`` is run in a process of its own for

* ``ATEN_CPU_CAPABILITY``: default, avx2, avx512 where the processor has it;
* ``ONEDNN_MAX_CPU_ISA``: SSE41, AVX2, AVX512_CORE;
* ``MKL_ENABLE_INSTRUCTIONS``: SSE4_2, AVX2, AVX512;
* ``NPY_DISABLE_CPU_FEATURES``: all that can be left out (SSE4.2 remains), or nothing;
* 1 and 2 threads;
* and, on what the processor chooses by itself, with relative noise of 1e-4 on weights and inputs, three draws.

``--corners`` (the default): the weakest and the strongest of all, each variable alone at its weakest, 2 threads of both
ends, and the noise. ``--all``: the whole grid, and the noise. ``--state FILE``: skip what FILE says has passed, and add
to it. What follows ``--`` goes to pytest, in place of the number of workers. Exits with 1 where a test failed. A run of
the corners is committed in ``numerics.txt``.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]
NOISE = "1e-4"
DRAWS = (1, 2, 3)
LONGEST_SECONDS = 3600
LEVELS = {"DEFAULT": 0, "AVX2": 1, "AVX512": 2}
Setting = dict[str, str]


def axes() -> dict[str, tuple[str, ...]]:
    """Return the values of each variable, the weakest first, as far as this processor goes."""
    here = LEVELS.get(torch.backends.cpu.get_cpu_capability(), 1)
    optional = " ".join(name for name in ("X86_V3", "X86_V4", "AVX512_ICL", "AVX512_SPR") if _numpy_has(name))
    return {
        "ATEN_CPU_CAPABILITY": ("default", "avx2", "avx512")[: here + 1],
        "ONEDNN_MAX_CPU_ISA": ("SSE41", "AVX2", "AVX512_CORE")[: here + 1],
        "MKL_ENABLE_INSTRUCTIONS": ("SSE4_2", "AVX2", "AVX512")[: here + 1],
        "NPY_DISABLE_CPU_FEATURES": (optional, ""),
        "HEATPROOF_TEST_THREADS": ("1", "2"),
    }


def _numpy_has(feature: str) -> bool:
    from numpy._core._multiarray_umath import __cpu_features__

    return bool(__cpu_features__.get(feature))


def noise() -> list[Setting]:
    """Return the settings that disturb weights and inputs."""
    return [{"HEATPROOF_TEST_NOISE": NOISE, "HEATPROOF_TEST_SEED": str(draw)} for draw in DRAWS]


def grid() -> Iterator[Setting]:
    """Yield every combination, the weakest first."""
    every = axes()
    for values in product(*every.values()):
        yield dict(zip(every, values, strict=True))


def corners() -> Iterator[Setting]:
    """Yield both ends by 1 and 2 threads, and each variable alone at its weakest."""
    every = axes()
    strongest = {name: values[-1] for name, values in every.items()} | {"HEATPROOF_TEST_THREADS": "1"}
    weakest = {name: values[0] for name, values in every.items()}
    for end in (weakest, strongest):
        yield from ({**end, "HEATPROOF_TEST_THREADS": threads} for threads in every["HEATPROOF_TEST_THREADS"])
    for name, values in every.items():
        if name != "HEATPROOF_TEST_THREADS" and len(set(values)) > 1:
            yield {**strongest, name: values[0]}


@dataclass(frozen=True)
class Outcome:
    """What came of one run of the tests."""

    setting: Setting
    passed: int
    failed: tuple[str, ...]
    """Names of the tests; the end of what pytest said where it did not come to the tests."""
    seconds: float

    def line(self) -> str:
        """Return a row of the table."""
        shown = " ".join(f"{name}={value or '-'}" for name, value in self.setting.items())
        return f"{self.passed:5d} passed {len(self.failed):3d} failed {self.seconds:6.0f} s  {shown}"


def run(setting: Setting, asked: Sequence[str]) -> Outcome:
    """Run the tests under one setting."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "numerics", "-p", "no:cacheprovider", *asked]
    kept = {name: value for name, value in os.environ.items() if name not in axes()} | {"OMP_WAIT_POLICY": "PASSIVE"}
    began = time.monotonic()
    done = subprocess.run(
        command, cwd=ROOT, env={**kept, **{name: value for name, value in setting.items() if value}},
        capture_output=True, text=True, check=False, timeout=LONGEST_SECONDS,
    )  # fmt: skip
    seconds = time.monotonic() - began
    failed = tuple(re.findall(r"^(?:FAILED|ERROR) (\S.*?)(?: - .*)?$", done.stdout, re.MULTILINE))
    passed = re.search(r"(\d+) passed", done.stdout)
    if done.returncode and not failed:
        failed = ((done.stdout + done.stderr)[-2000:],)
    return Outcome(setting, int(passed[1]) if passed else 0, failed, seconds)


def known(state: Path | None) -> list[Setting]:
    """Return the settings under which every test has passed before."""
    lines = state.read_text(encoding="utf-8").splitlines() if state and state.is_file() else []
    rows = [json.loads(line) for line in lines]
    return [row["setting"] for row in rows if row["passed"] and not row["failed"]]


def main() -> int:
    """Run what is asked for and print a line for each setting; 1 where a test failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corners", action="store_true", help="the ends and each variable alone (the default)")
    parser.add_argument("--all", action="store_true", help="the whole grid")
    parser.add_argument("--noise", action="store_true", help="the noise alone")
    parser.add_argument("--state", type=Path, help="one JSON line a setting: skip what has passed, add what is run")
    parser.add_argument("pytest", nargs="*", help="for pytest, after --: -n 2, or paths")
    given = parser.parse_args()
    settings = [] if given.noise else list(grid() if given.all else corners())
    before, failed = known(given.state), 0
    for setting in [*settings, *noise()]:
        if setting in before:
            continue
        workers = "1" if setting.get("HEATPROOF_TEST_THREADS") == "2" else "2"
        outcome = run(setting, given.pytest or ("-n", workers, "--dist", "worksteal"))
        print(outcome.line(), *outcome.failed, sep="\n      ", flush=True)
        failed += bool(outcome.failed)
        if given.state:
            with given.state.open("a", encoding="utf-8") as file:
                row = {"setting": setting, "passed": outcome.passed, "failed": outcome.failed}
                file.write(json.dumps(row) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
