"""The command that runs the benchmarks: what it names is there, and its page is written from what is kept."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.benchmarks import __main__ as command


@pytest.mark.parametrize("benchmark", command.BENCHMARKS, ids=lambda one: one.name)
def test_every_benchmark_that_the_command_runs_is_a_module(benchmark: command.Benchmark) -> None:
    assert find_spec(f"tests.benchmarks.{benchmark.name}")


def test_the_page_shows_what_is_kept_and_says_what_was_never_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    monkeypatch.setattr(command, "PAGE", tmp_path / "README.md")
    idle = next(benchmark for benchmark in command.BENCHMARKS if benchmark.name == "idle")
    idle.result.write_text("2026-11-29, commit 0000000, 2 cores\n0.9 % of a core\n")
    assert command.main(["--write"]) == 0
    page = (tmp_path / "README.md").read_text()
    assert "2026-11-29, commit 0000000, 2 cores:\n\n```\n0.9 % of a core\n```" in page
    assert page.count("Not run to its end") == len(command.BENCHMARKS) - 1


def test_a_benchmark_that_fails_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    assert command.run(command.Benchmark("receive", "asked for what it does not know", ("--nonsense",))) != 0
    assert not list(tmp_path.iterdir())
