"""Commissioning: what can be measured is measured, what cannot is said, and the same work gives the same passport."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest
import torch

from inference.bundle.bundle import Bundle, load_bundle
from inference.cases.cases import AnnotatedSeries, Excluded, class_of, gather
from inference.cases.labels_folder import read_labels_folder
from inference.commissioning.commission import Commissioned, commission
from inference.commissioning.pictures import pictures_of
from inference.errors import DeviceExhausted, PassportRefused, Refused, UnknownName, Unsuitable
from inference.passport.passport import digest_of_passport, load_passport, save_passport, sealed
from inference.passport.rules import RULES
from inference.passport.verdict import NoVerdict
from inference.porting.seal import seal
from tests.inference.conftest import copy_bundle

from .annotated import SMALL, patients, read_rows, write_labels, write_rows

ROOT = Path(__file__).parents[3]
CONTROLS = {"random", "centre", "edge", "blank", "average_mask", "untrained"}


def folder_source(data: Path) -> Callable[[Bundle, Sequence[str]], Iterable[AnnotatedSeries | Excluded]]:
    return lambda bundle, splits: read_labels_folder(data, splits, is_volume=bundle.manifest.kind == "volume")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path) -> Bundle:
    torch.set_num_threads(1)  # before what is made once for all tests
    folder = copy_bundle(tiny_bundle, tmp_path_factory.mktemp("commission") / "tiny")
    seal(folder)
    return load_bundle(folder)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_labels(tmp_path_factory.mktemp("data") / "site", patients())


@pytest.fixture(scope="module")
def done(tiny: Bundle, data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Commissioned, Path]:
    out = tmp_path_factory.mktemp("out")
    told: list[tuple[str, int, int]] = []
    settings = replace(SMALL, save_maps=True)
    found = commission(tiny, folder_source(data), settings, out, progress=lambda *step: told.append(step))
    assert {"reading cases", "judging"} <= {stage for stage, _, _ in told}
    return found, out


def test_the_gallery_drawn_again_shows_the_same_maps(
    tiny: Bundle, data: Path, done: tuple[Commissioned, Path], tmp_path: Path
) -> None:
    passport, pictures = done[0].passport, done[0].pictures
    again = pictures_of(passport, tiny, folder_source(data), tmp_path, device="cpu")
    assert [picture.entry for picture in again] == list(passport.gallery)
    assert len(again) > 1
    for first, second in zip(pictures, again, strict=True):
        np.testing.assert_array_equal(first.image, second.image)
        np.testing.assert_array_equal(first.map, second.map)


def test_every_piece_of_the_verdict_notes_its_own_time(done: tuple[Commissioned, Path]) -> None:
    figures = {path.name for path in (done[1] / "work").rglob("figures/verdict.*.json")}
    times = {path.name for path in (done[1] / "work").rglob("times/verdict.*.json")}
    assert len(figures) > 2
    assert len(times) == len(figures)


def test_every_method_and_control_has_every_criterion_with_a_value_or_a_reason(done: tuple[Commissioned, Path]) -> None:
    passport = done[0].passport
    assert set(passport.methods) == {"gradcam", "gradient"} | CONTROLS
    assert {name for name, entry in passport.methods.items() if entry.control} == CONTROLS
    for entry in passport.methods.values():
        assert list(entry.criteria) == [rule.name for rule in RULES]
        for criterion in entry.criteria.values():
            assert criterion.value is not None or criterion.reason
            assert criterion.passed is not None or criterion.reason


def test_a_criterion_carries_interval_null_and_every_baseline(done: tuple[Commissioned, Path]) -> None:
    criteria = done[0].passport.methods["gradcam"].criteria
    assert set(criteria["localisation_hit_rate"].baselines) >= CONTROLS
    assert criteria["road"].baselines["random_blurred"] is not None
    agreed = criteria["repeatability_spearman"]
    assert agreed.null is not None
    assert agreed.value is not None
    assert agreed.referenced == pytest.approx((agreed.value - agreed.null) / (1 - agreed.null), abs=1e-5)
    assert {"top10_iou", "iou_otsu", "ssim_range_1", "ssim_range_2_legacy"} == set(agreed.also)
    assert criteria["weight_randomisation_cascade"].curve is not None


def test_the_probability_of_a_finding_is_calibrated_and_a_small_site_is_cross_fitted(
    done: tuple[Commissioned, Path],
) -> None:
    made = done[0].passport.classification.classes["lesion"].calibration
    assert made is not None
    assert made.recalibration is not None
    assert made.cross_fitted, "three patients are too few to fit on"
    assert (made.cases, made.with_class, made.without_class) == (18, 6, 6)
    assert made.judged["every"].right.groups == 3


def test_controls_that_ignore_the_model_fail_what_asks_for_the_model(done: tuple[Commissioned, Path]) -> None:
    methods = done[0].passport.methods
    for name in ("centre", "edge", "random", "average_mask"):
        assert methods[name].criteria["weight_randomisation_cascade"].passed is False
        assert methods[name].criteria["class_contrast"].passed is False


def test_an_explained_false_positive_is_a_miss(done: tuple[Commissioned, Path]) -> None:
    passport = done[0].passport
    counts = passport.data.splits["commissioning"]
    assert counts.explained > counts.true_positives  # a random network calls everything
    rate = passport.methods["centre"].criteria["localisation_hit_rate"]
    assert rate.n == counts.explained
    assert rate.also["true_positives"].n == counts.true_positives
    assert rate.value is not None
    assert rate.also["true_positives"].value is not None
    assert rate.value == pytest.approx(rate.also["true_positives"].value * counts.true_positives / counts.explained)


def test_saved_maps_are_the_raw_maps_by_method_and_image(done: tuple[Commissioned, Path], data: Path) -> None:
    _found, out = done
    names = {Path(row["file"]).stem for row in read_rows(data) if row["split"] == "commissioning"}
    saved = {path.stem for path in (out / "maps" / "gradient").glob("*.npy")}
    assert saved == names
    assert np.load(next((out / "maps" / "gradient").glob("*.npy"))).shape == (32, 32)


def test_the_passport_is_read_back_as_it_was_written(done: tuple[Commissioned, Path], tmp_path: Path) -> None:
    save_passport(done[0].passport, tmp_path / "passport.json")
    assert load_passport(tmp_path / "passport.json") == done[0].passport


def test_an_altered_or_foreign_passport_is_refused_with_a_sentence(
    done: tuple[Commissioned, Path], tmp_path: Path
) -> None:
    path = tmp_path / "passport.json"
    save_passport(done[0].passport, path)
    tree = json.loads(path.read_text())
    rate = tree["methods"]["gradcam"]["criteria"]["localisation_hit_rate"]
    rate["value"] = 0.99
    path.write_text(json.dumps(tree))
    with pytest.raises(PassportRefused, match="altered"):
        load_passport(path)
    path.write_text(json.dumps({**tree, "version": 2}))
    with pytest.raises(PassportRefused, match="version 2"):
        load_passport(path)
    path.write_text(json.dumps({**tree, "surprise": 1}))
    with pytest.raises(PassportRefused, match="surprise"):
        load_passport(path)
    path.write_text("{}")
    with pytest.raises(PassportRefused, match="not a passport"):
        load_passport(path)
    with pytest.raises(PassportRefused, match="cannot be read"):
        load_passport(tmp_path / "none.json")


def test_a_later_step_may_add_a_verdict_and_seal_again(done: tuple[Commissioned, Path], tmp_path: Path) -> None:
    passport = sealed(replace(done[0].passport, verdict=NoVerdict("Too few patients.")))
    save_passport(passport, tmp_path / "passport.json")
    assert load_passport(tmp_path / "passport.json").verdict == NoVerdict("Too few patients.")
    assert passport.digest != done[0].passport.digest


def test_time_is_no_part_of_the_digest(done: tuple[Commissioned, Path]) -> None:
    passport = done[0].passport
    assert passport.run is not None
    assert passport.run.seconds_per_map > 0
    assert digest_of_passport(replace(passport, run=None)) == passport.digest


def test_missing_masks_and_unreadable_images_are_named_and_the_rest_is_measured(tiny: Bundle, tmp_path: Path) -> None:
    data = write_labels(tmp_path / "site", patients(per_split=2))
    masks = sorted((data / "masks").glob("P3*"))
    masks[0].unlink()
    broken = data / "images" / "P4_001.png"
    broken.write_bytes(broken.read_bytes()[:60])
    cases = gather(tiny, folder_source(data)(tiny, SMALL.splits), tmp_path / "cases")
    said = {one.name: one.reason for one in cases.excluded}
    assert said[f"images/{masks[0].name}"] == f"its mask masks/{masks[0].name} is missing: no localisation"
    assert "cannot be read" in said["images/P4_001.png"]
    assert len(cases.entries) == 2 * 2 * 3 - 1
    assert sum(case.masked for case in cases.entries) < sum(case.label == "lesion" for case in cases.entries)


def test_an_unknown_label_is_left_out_by_name_and_a_box_is_a_mask(tiny: Bundle, tmp_path: Path) -> None:
    data = write_labels(tmp_path / "site", patients(per_split=1))
    rows = read_rows(data)
    rows[0]["label"] = "cyst"
    write_rows(data, rows)
    boxed = [{**row, "x0": "", "y0": "", "x1": "", "y1": ""} for row in rows]
    at = next(at for at, row in enumerate(rows) if row["mask"] and at)
    boxed[at] |= {"mask": "", "x0": "4", "y0": "6", "x1": "11", "y1": "9"}
    text = ",".join(boxed[0]) + "\n" + "".join(",".join(row.values()) + "\n" for row in boxed)
    (data / "labels.csv").write_text(text)
    cases = gather(tiny, folder_source(data)(tiny, SMALL.splits), tmp_path / "cases")
    assert any("'cyst' is none of the bundle's classes" in one.reason for one in cases.excluded)
    (position,) = (p for p, case in enumerate(cases.entries) if case.name == rows[at]["file"])
    mask = cases.masks_of([position])[0]
    assert mask.sum() == pytest.approx(8 * 4 * (32 / 48) ** 2, rel=0.35)
    assert mask[3:7, 4:6].all(), "x first, as MONAI's readers give it"


def test_labels_find_their_class_by_name_or_by_an_unambiguous_beginning(tiny: Bundle) -> None:
    assert class_of("Lesion", tiny.manifest) == 1
    assert class_of("les", tiny.manifest) == 1
    assert class_of("cyst", tiny.manifest) is None


@pytest.mark.slow
def test_a_class_absent_from_a_split_and_absent_replicates_are_said_and_the_rest_is_measured(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    folder = copy_bundle(tiny_bundle, tmp_path / "alone")
    manifest = folder / "heatproof.toml"
    text = manifest.read_text()
    start, end = text.index("[[replicates]]"), text.index("[null]")
    manifest.write_text(text[:start] + text[end:])
    seal(folder)
    data = write_labels(tmp_path / "site", patients())
    rows = [row for row in read_rows(data) if row["split"] == "calibration" or row["label"] == "lesion"]
    write_rows(data, rows)
    passport = commission(load_bundle(folder), folder_source(data), SMALL, tmp_path / "out").passport
    criteria = passport.methods["gradcam"].criteria
    assert criteria["repeatability_spearman"].value is None
    assert criteria["repeatability_spearman"].reason == "The bundle has no replicates."
    assert "alternates" in criteria["reproducibility_spearman"].reason
    assert criteria["localisation_average_precision"].value is not None
    lesion = passport.classification.classes["lesion"]
    assert lesion.auc.value is None
    assert "no case of another class" in lesion.auc.reason
    assert lesion.sensitivity.value == 1.0


@pytest.mark.slow
def test_with_one_split_priors_and_thresholds_come_from_other_patients(
    tiny: Bundle, data: Path, tmp_path: Path
) -> None:
    settings = replace(SMALL, splits=("commissioning",))
    passport = commission(tiny, folder_source(data), settings, tmp_path / "out").passport
    assert passport.data.fitted_on == ""
    assert any("One split only" in limit for limit in passport.limits)
    tuned = passport.methods["gradcam"].criteria["localisation_average_precision"].also["iou_tuned"]
    assert tuned.value is not None


def test_unfinished_work_is_neither_taken_up_nor_thrown_away_unasked(tiny: Bundle, data: Path, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(stage: str, _done: int, _total: int) -> None:
        if stage.startswith("measuring"):
            raise Stop

    with pytest.raises(Stop):
        commission(tiny, folder_source(data), SMALL, tmp_path, progress=stop)
    with pytest.raises(Refused, match="--resume"):
        commission(tiny, folder_source(data), SMALL, tmp_path)


def test_wrong_words_are_answered_with_what_there_is(tiny: Bundle, data: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="gradcam"):
        commission(tiny, folder_source(data), replace(SMALL, methods=("gradcm",)), tmp_path)
    with pytest.raises(Unsuitable, match="calibration"):
        commission(tiny, folder_source(data), replace(SMALL, splits=("validation",)), tmp_path)
    with pytest.raises(UnknownName, match="cascade_cases"):
        SMALL.with_sizes({"cascade": 3})
    with pytest.raises(Unsuitable, match=r"labels\.csv"):
        commission(tiny, folder_source(tmp_path), SMALL, tmp_path)


@pytest.mark.slow
def test_several_workers_give_the_same_passport_bit_for_bit(
    tiny: Bundle, data: Path, done: tuple[Commissioned, Path], tmp_path: Path
) -> None:
    shared = commission(tiny, folder_source(data), SMALL, tmp_path, workers=2)
    assert shared.passport.digest == done[0].passport.digest


@pytest.mark.slow
def test_a_worker_that_is_killed_is_named_with_its_cure(tiny: Bundle, data: Path, tmp_path: Path) -> None:
    def kill(_stage: str, done: int, total: int) -> None:
        if total and done == 2:
            for child in active_children():
                child.kill()

    with pytest.raises(DeviceExhausted, match="worker process was killed"):
        commission(tiny, folder_source(data), SMALL, tmp_path, workers=2, progress=kill)
    assert commission(tiny, folder_source(data), SMALL, tmp_path, resume=True).passport.digest


@pytest.mark.slow
@pytest.mark.parametrize("where", ["explaining", "measuring"])
def test_killed_and_resumed_it_gives_the_same_passport_bit_for_bit(
    where: str, tiny: Bundle, data: Path, done: tuple[Commissioned, Path], tmp_path: Path
) -> None:
    command = [sys.executable, str(Path(__file__).with_name("crashing_commission.py")), str(tiny.folder), str(data)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    killed = subprocess.run([*command, str(tmp_path), where], cwd=ROOT, env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert any((tmp_path / "work").rglob("*.npz"))
    assert not (tmp_path / "passport.json").exists()
    subprocess.run([*command, str(tmp_path), "never"], cwd=ROOT, env=environment, check=True)
    resumed = load_passport(tmp_path / "passport.json")
    whole = done[0].passport
    assert resumed.digest == whole.digest
    assert replace(resumed, run=None) == replace(whole, run=None)
