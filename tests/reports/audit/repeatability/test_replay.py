"""The constancy test's judgement of maps that are the same, nearly the same, or others."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.errors import Misconfigured
from reports.audit.observation import map_digest
from reports.audit.repeatability.replay import GoldenBaseline, Level, Recorded, compare, load, save

VALUES = np.random.default_rng(0).normal(size=(32, 32)).astype(np.float32)


def recorded(values: np.ndarray = VALUES, **changes: object) -> Recorded:
    usual = Recorded("phantom 1", "gradcam", "glioma", 4, 0.9, "TRUSTED", 0.95, (3, 4), map_digest(values), values)
    return replace(usual, **changes)  # type: ignore[arg-type]


def test_the_same_bits_are_r0() -> None:
    replay = compare([recorded()], [recorded()])
    assert replay.level is Level.R0
    assert replay.passed
    assert replay.sentence == "1 maps repeat at R0."


def test_altered_last_bits_are_r1_unless_the_device_never_repeated_them() -> None:
    bits = np.nextafter(VALUES, np.float32(np.inf))
    again = [recorded(bits)]
    assert compare([recorded()], again).level is Level.R1
    assert compare([recorded()], again, floor=1e-5).level is Level.R0


def test_altered_last_bits_of_a_map_that_is_mostly_empty_are_r1_too() -> None:
    empty = np.where(np.abs(VALUES) > 2, np.abs(VALUES), 0).astype(np.float32)
    again = recorded(np.where(empty > 0, np.nextafter(empty, np.float32(np.inf)), 0).astype(np.float32))
    assert compare([recorded(empty)], [again]).level is Level.R1


@pytest.mark.parametrize(
    ("again", "reason"),
    [
        (recorded(VALUES + 0.02), "the map differs by"),
        (recorded(VALUES[::-1].copy()), "its rank correlation is only"),
        (recorded(verdict="CAUTION"), "TRUSTED has become CAUTION"),
        (recorded(probability=0.88), "the probability moved by 0.02"),
        (recorded(trust=0.80), "the trust moved by"),
        (recorded(VALUES[:16].copy()), "another size"),
    ],
)
def test_another_map_fails_and_says_by_what(again: Recorded, reason: str) -> None:
    replay = compare([recorded()], [again])
    assert not replay.passed
    assert reason in replay.compared[0].reason
    assert reason in replay.sentence


def test_a_finding_that_is_gone_or_new_fails() -> None:
    assert "glioma on plane 5, is missing" in compare([recorded()], []).missing[0]
    assert "is new" in compare([recorded()], [recorded(), recorded(frame=9)]).sentence
    assert not compare([], []).passed


def test_a_baseline_comes_back_as_it_was_signed_and_a_changed_one_passes_nothing(tmp_path: Path) -> None:
    save(GoldenBaseline((recorded(),), 0.0, "f" * 64), tmp_path, b"key")
    again = load(tmp_path, b"key")
    assert compare(again.records, [recorded()]).level is Level.R0
    with pytest.raises(Misconfigured, match="not the one that was signed"):
        load(tmp_path, b"another key")
    told = tmp_path / "baseline.json"
    told.write_text(told.read_text().replace("0.95", "0.85"))
    with pytest.raises(Misconfigured, match="not the one that was signed"):
        load(tmp_path, b"key")
    with pytest.raises(Misconfigured, match="no baseline"):
        load(tmp_path / "elsewhere", b"key")
