"""What the weights of the brain tumour bundle promise."""

import hashlib
import json
from pathlib import Path

import pytest

from inference.bundle.bundle import load_bundle
from inference.training.brain_data import CLASSES, read_tumours
from inference.training.brain_tumour_card import tables
from inference.training.measuring import judge
from tests.development_data import FOLDER, needs_data

BUNDLE = Path(__file__).parents[3] / "inference" / "bundles" / "brain_tumour_t1ce"


def test_the_bundle_is_sealed_small_and_of_three_findings() -> None:
    bundle = load_bundle(BUNDLE)
    assert tuple(entry.name for entry in bundle.manifest.classes) == CLASSES
    assert all(entry.code is not None and entry.finding for entry in bundle.manifest.classes)
    assert sum(path.stat().st_size for path in BUNDLE.rglob("*")) < 12e6
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (BUNDLE / "models").iterdir()}
    assert len(digests) == 5


def test_the_model_card_shows_the_figures_of_its_file() -> None:
    figures = json.loads((BUNDLE / "figures.json").read_text(encoding="utf-8"))
    assert tables(figures) in (BUNDLE / "README.md").read_text(encoding="utf-8")
    assert figures["splits"] == ["commissioning"]


@pytest.mark.slow
@pytest.mark.data
@needs_data
def test_the_primary_classifies_and_points_on_calibration_slices_as_its_figures_say() -> None:
    bundle = load_bundle(BUNDLE)
    data = read_tumours(FOLDER / "brain_t1ce", ["calibration"], bundle.preprocessing)
    primary = bundle.primary()
    judged = judge(primary.module, str(primary.layer), data, method=bundle.manifest.method)
    said = json.loads((BUNDLE / "figures.json").read_text(encoding="utf-8"))["networks"]["primary"]
    right = (judged.probability.argmax(axis=1) == data.labels.numpy()).mean()
    assert right > said["accuracy"]["interval"][0] - 0.03
    assert judged.hit.mean() > said["peak_in_lesion"]["interval"][0] - 0.05
