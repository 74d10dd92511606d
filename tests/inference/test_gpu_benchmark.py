"""The script for a card is rehearsed on the CPU: every part runs, and JSON and page are written."""

import json

import torch

from tests.benchmarks.gpu import PARTS, Bench, apart, level, measure, order
from tests.benchmarks.gpu_page import page


def test_the_script_for_a_card_runs_through_on_the_cpu_and_writes_its_page(tmp_path):
    bench = Bench(torch.device("cpu"), "cpu", quick=True, wheels=None)
    results = measure(bench, tmp_path, minutes=float("inf"))  # however slow the machine is
    kept = json.loads((tmp_path / "gpu.json").read_text())
    assert set(kept) == {*PARTS, "seconds"}
    assert not {name: kept[name]["failed"] for name in PARTS if "failed" in kept[name]}
    assert results["tests"] == {"left out": "they need a card"}
    assert all(row["level"] == "R0" for row in kept["maps"].values() if "level" in row)
    assert all(row["from_cpu"] == 0 for row in kept["maps"].values() if "level" in row)
    assert kept["halving"]["halved"]
    assert kept["halving"]["difference"] < 1e-3
    text = (tmp_path / "gpu.md").read_text()
    assert "no CUDA card was there" in text
    assert "| gradcam |" in text
    assert text == page(kept)


def test_a_part_that_fails_is_named_and_the_others_run(tmp_path, monkeypatch):
    def broken(_bench):
        raise RuntimeError("CUDA error: no kernel image")

    monkeypatch.setattr("tests.benchmarks.gpu.PARTS", {"maps": broken, "machine": PARTS["machine"]})
    bench = Bench(torch.device("cpu"), "cpu", quick=True, wheels=None)
    results = measure(bench, tmp_path, 8.0, ("maps", "machine"))
    assert "no kernel image" in results["maps"]["failed"][-1]
    assert results["machine"]["device"] == "cpu"
    assert "**Failed:**" in (tmp_path / "gpu.md").read_text()


def test_levels_are_identical_within_tolerance_or_changed():
    first = torch.tensor([0.0, 2.0, 4.0])
    assert [level(apart(first, first + step)) for step in (0.0, 1e-3, 0.1)] == ["R0", "R1", "changed"]
    assert order(first, 2 * first) == 1.0
    assert order(first, torch.zeros(3)) is None
