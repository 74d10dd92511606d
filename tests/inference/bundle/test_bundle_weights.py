"""What the shipped weights promise."""

import hashlib
import json
from pathlib import Path

import pytest

from inference.bundle.bundle import load_bundle
from inference.training.flair_data import make_phantoms, read_patients
from inference.training.measuring import judge
from inference.training.model_card import cell
from tests.development_data import FOLDER, needs_data

BUNDLES = Path(__file__).parents[3] / "inference" / "bundles"
NAMES = ("glioma_flair", "glioma_flair_unguided")


@pytest.mark.parametrize("name", NAMES)
def test_a_bundle_is_sealed_and_smaller_than_twelve_megabytes(name: str) -> None:
    load_bundle(BUNDLES / name)
    assert sum(path.stat().st_size for path in (BUNDLES / name).rglob("*")) < 12e6


@pytest.mark.parametrize("name", NAMES)
def test_primary_and_replicates_are_three_trainings_not_one(name: str) -> None:
    files = [BUNDLES / name / "models" / f"{part}.safetensors" for part in ("model", "replicate_1", "replicate_2")]
    assert len({hashlib.sha256(path.read_bytes()).hexdigest() for path in files}) == 3


@pytest.mark.parametrize("name", NAMES)
def test_the_model_card_shows_the_figures_of_its_file(name: str) -> None:
    card = (BUNDLES / name / "README.md").read_text(encoding="utf-8")
    assert "| primary | 0." in card
    assert "peak in lesion, true positives" in card


@pytest.mark.slow
@pytest.mark.data
@needs_data
def test_guided_maps_lie_in_the_lesion_and_unguided_ones_do_not_at_the_same_auc() -> None:
    hits, accuracies = [], []
    for name in NAMES:
        bundle = load_bundle(BUNDLES / name)
        site = read_patients(FOLDER / "glioma_flair", ["commissioning"], bundle.preprocessing)
        primary = bundle.primary()
        judged = judge(primary.module, str(primary.layer), site, 1, method=bundle.manifest.method)
        called = judged.probability[:, 1] >= 0.5
        truth = site.labels.numpy() == 1
        hits.append(judged.hit[called & truth].mean())
        accuracies.append((called == truth).mean())
    assert hits[0] > 0.8
    assert hits[1] < 0.4
    assert min(accuracies) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_reference_object_is_read_too(name: str) -> None:
    bundle = load_bundle(BUNDLES / name)
    phantoms = make_phantoms([1, 2, 4], bundle.preprocessing)
    primary = bundle.primary()
    called = judge(primary.module, str(primary.layer), phantoms, 1).probability[:, 1] >= 0.5
    assert (called == (phantoms.labels.numpy() == 1)).mean() > 0.85


def test_every_figure_of_the_readme_stands_in_the_bundles_figures() -> None:
    readme = (BUNDLES.parents[1] / "README.md").read_text(encoding="utf-8")
    for name in NAMES:
        assert readme_row(name) in readme


def readme_row(name: str) -> str:
    figures = json.loads((BUNDLES / name / "figures.json").read_text(encoding="utf-8"))["primary"]
    columns = ("auc_per_slice", "sensitivity", "specificity", "peak_in_lesion_true_positives")
    return f"| `{name}` | {' | '.join(cell(figures[column]) for column in columns)} |"
