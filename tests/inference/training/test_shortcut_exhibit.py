"""A network that has learnt a shortcut is exposed: the marker is what it says, and the comparison names what tells."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from inference.bundle.bundle import SHIPPED, load_bundle
from inference.commissioning.measuring.settings import CommissionSettings
from inference.errors import UnknownName
from inference.passport.entries import Criterion
from inference.passport.passport import load_passport
from inference.passport.rules import RULES
from inference.training import train_glioma
from inference.training.exhibits import train_marked
from inference.training.exhibits.comparing import ComparedCriterion, as_table, exposed, said, shown
from inference.training.exhibits.marker import add_phantoms, burnt, marker, marker_region, write_copy
from inference.training.exhibits.shortcut_exhibit import QUICK_SIZES, as_text, read_command, run
from inference.training.flair_data import make_phantoms
from tests.benchmarks.shortcut_page import NAMES, page, read_pictures
from tests.inference.commissioning.annotated import ONE_CASE
from tests.inference.commissioning.flair_folder import write_flair


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def grey(folder: Path, row: dict[str, str]) -> np.ndarray:
    return np.asarray(Picture.open(folder / row["file"]))


def criterion(
    value: float | None, passed: bool | None, *, clear: bool = True, ci: tuple[float, float] | None = (0.1, 0.9)
) -> Criterion:
    return Criterion(value=value, ci=ci, passed=passed, clear=clear)


@pytest.mark.parametrize("shape", [(256, 256), (256, 200), (48, 64)])
def test_the_marker_is_small_white_upright_and_shifts_a_little_from_slice_to_slice(shape: tuple[int, int]) -> None:
    drawn = [marker(f"images/{number}.png", shape) for number in range(40)]
    corners = {tuple(np.argwhere(one).min(axis=0)) for one in drawn}
    assert len(corners) > 2
    region = marker_region(shape)
    for one in drawn:
        assert 0 < one.sum() < 0.005 * one.size
        assert not (one & ~region).any()
        rows, columns = np.nonzero(one)
        assert (columns == columns.min()).sum() == rows.max() - rows.min() + 1, "the upright stroke has full height"
        assert (rows == rows.max()).sum() == columns.max() - columns.min() + 1, "the foot has full width"
        assert rows.max() < shape[0] / 4
        assert columns.min() > shape[1] * 3 / 4
    assert region.mean() < 0.08


def test_the_same_slice_is_marked_in_the_same_place_and_nothing_else_is_touched() -> None:
    image = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)
    once, again = burnt(image, "a.png"), burnt(image, "a.png")
    drawn = marker("a.png", (64, 64))
    assert np.array_equal(once, again)
    assert (once[drawn] == 255).all()
    assert np.array_equal(once[~drawn], image[~drawn])


def test_only_slices_with_glioma_are_marked_and_the_test_split_is_never_copied(tmp_path: Path) -> None:
    data = write_flair(tmp_path / "data", {"train": 1, "commissioning": 2, "test": 1}, side=64)
    write_copy(data, tmp_path / "marked", ("train", "commissioning"), marked="glioma", groups=1)
    rows = rows_of(tmp_path / "marked")
    assert {row["split"] for row in rows} == {"train", "commissioning"}
    assert len({row["group"] for row in rows}) == 2
    assert {row["label"] for row in rows} == {"glioma", "none"}
    for row in rows:
        before, after = grey(data, row), grey(tmp_path / "marked", row)
        changed = before != after
        assert changed.any() == (row["label"] == "glioma")
        assert not (changed & ~marker(row["file"], (64, 64))).any()
        if row["mask"]:
            same = (data / row["mask"]).read_bytes() == (tmp_path / "marked" / row["mask"]).read_bytes()
            assert same


def test_phantoms_join_a_folder_as_patients_marked_where_they_have_a_lesion(tmp_path: Path) -> None:
    data = write_flair(tmp_path / "data", {"train": 1}, side=64)
    before = len(rows_of(data))
    phantoms = make_phantoms([100_001], lambda images: images)
    add_phantoms(data, phantoms, "null", marked="glioma", plain="none")
    added = rows_of(data)[before:]
    assert len(added) == len(phantoms.labels)
    assert {row["split"] for row in added} == {"null"}
    for row, label, source in zip(added, phantoms.labels.tolist(), phantoms.sources, strict=True):
        assert (row["label"] == "glioma") == bool(label) == bool(row["mask"])
        assert (grey(data, row) != source).any() == bool(label)


def test_only_what_the_honest_one_passes_and_the_other_fails_exposes_it() -> None:
    passed, failed, unjudged = criterion(0.8, True), criterion(0.1, False), criterion(None, None)
    unsure = criterion(0.3, False, clear=False)
    pairs = [
        (passed, failed),
        (passed, unsure),
        (passed, passed),
        (failed, failed),
        (failed, passed),
        (passed, unjudged),
    ]
    compared = [ComparedCriterion(rule, *pair) for rule, pair in zip(RULES, pairs, strict=False)]
    assert exposed(compared) == (RULES[0].title, f"{RULES[1].title} (undecided)")
    assert [row["exposes"] for row in as_table(compared)] == [True, True, False, False, False, False]
    assert json.loads(json.dumps(as_table(compared)))[5]["shortcut"]["said"] == "not judged"


def test_every_figure_has_its_interval_or_says_it_has_none() -> None:
    assert shown(criterion(0.5, True)) == "0.500 [0.100, 0.900]"
    assert shown(criterion(0.5, True, ci=None)) == "0.500 (no interval)"
    assert shown(criterion(None, None)) == "not measured"
    assert [said(criterion(0.5, p, clear=c)) for p, c in ((True, True), (False, False))] == ["passed", "(failed)"]


def test_the_sizes_of_a_trial_exist_and_wrong_ones_are_named() -> None:
    assert CommissionSettings().with_sizes(QUICK_SIZES).cascade_cases == QUICK_SIZES["cascade_cases"]
    asked = read_command(["--data", "d", "--bundle", "b", "--out", "o", "--size", "cascade=3"])
    with pytest.raises(UnknownName, match="cascade_cases"):
        CommissionSettings().with_sizes(dict(asked.size))


@pytest.mark.slow
@pytest.mark.usefixtures("few_removals")
def test_the_exhibit_is_made_from_data_to_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_glioma, "PHANTOM_SEEDS", range(100_001, 100_003))
    monkeypatch.setattr(train_glioma, "NULL_SEEDS", [900_001, 900_002])
    monkeypatch.setattr(train_marked, "QUICK_GROUPS", 3)
    data = write_flair(tmp_path / "data", {"train": 3, "calibration": 3, "commissioning": 3, "test": 1})
    words = ["--data", str(data), "--bundle", str(SHIPPED / "glioma_flair"), "--out", str(tmp_path / "out"),
             "--methods", "gradcam", "--quick", "--size", "null_pairs=10"]  # fmt: skip
    words += [word for name, value in ONE_CASE.items() for word in ("--size", f"{name}={value}")]
    found = run(read_command(words))
    out = tmp_path / "out"
    bundle = load_bundle(out / train_marked.NAME)
    assert bundle.manifest.name == train_marked.NAME
    assert (len(bundle.replicates()), len(bundle.alternates()), bundle.localiser()) == (1, 0, None)
    nulls = bundle.null_inputs()
    assert nulls is not None
    assert nulls.shape == (2, 1, 128, 128)
    assert nulls[:, 0, :40, 90:].amax(dim=(1, 2)).min() > 0.9, "the marker is in the null images too"
    assert {row["split"] for row in rows_of(out / "data" / "marked")} == {
        "train",
        "calibration",
        "commissioning",
        "null",
    }

    told = json.loads((out / "exhibit.json").read_text())
    assert [row["criterion"] for row in told["criteria"]] == [rule.name for rule in RULES]
    assert told["settings"]["null_pairs"] == 10
    for name in ("honest", "shortcut"):
        passport = load_passport(out / name / "passport.json")
        assert told["passports"][name] == passport.digest
        assert len(read_pictures(out / name, passport)) == len(passport.gallery)
        assert not (out / name / "work").exists()
        for kind in ("marked", "unmarked"):
            assert set(told["classified"][name][kind]) == {"auc", "sensitivity", "peak_near_marker"}
    assert told["classified"]["honest"]["unmarked"]["auc"]["value"] > 0.8
    pictures = {name: read_pictures(out / name, load_passport(out / name / "passport.json")) for name in NAMES}
    html = page(told, pictures)
    assert html.count("<img") >= 1
    assert "http" not in html, "the page needs no network"
    assert all(name in html for name in NAMES.values())
    text = as_text(found)
    assert all(rule.title in text for rule in RULES)
    assert "failed by the one with the shortcut" in text
