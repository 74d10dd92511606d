"""Localisation references in a passport: read with care, part of the digest, and no trace where there are none."""

import json
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from inference.errors import PassportRefused
from inference.passport.passport import (
    Passport,
    digest_of_passport,
    load_passport,
    load_reference,
    save_passport,
    sealed,
)

SHA = "0" * 64


def figure(value: float) -> dict[str, Any]:
    return {"value": value, "ci": [value - 0.1, value + 0.05], "n": 30, "groups": 12}


@pytest.fixture
def tree() -> dict[str, Any]:
    """What a file of figures holds."""
    trainings = [{"seed": seed, "average_precision": figure(0.8), "hit": figure(0.9)} for seed in (11, 12)]
    repeats = {"spearman": figure(0.5), "ssim": figure(0.7), "iou_above_otsu": figure(0.6)}
    return {
        "set": "phantoms", "kind": "unet", "epochs": 8, "split": "commissioning", "slices": 30, "groups": 12,
        "trainings": trainings, "repeatability": repeats,
    }  # fmt: skip


@pytest.fixture
def passport() -> Passport:
    unknown = {"value": None, "reason": "no case"}
    return TypeAdapter(Passport).validate_python(
        {
            "schema": "heatproof.passport",
            "version": 1,
            "bundle": {
                "name": "tiny", "version": "1", "title": "A bundle", "digest": SHA, "weights_digest": SHA,
                "classes": ["none", "lesion"], "method": "gradcam",
            },
            "data": {"digest": SHA, "judged": "commissioning", "fitted_on": "", "splits": {}, "excluded": [],
                     "blank": 0},
            "fingerprint": {"device": "cpu", "python": "3.11", "libraries": {}, "threads": 1},
            "settings": {},
            "classification": {"accuracy": unknown, "classes": {}},
            "methods": {},
            "chosen": {"method": None, "manifest": "gradcam", "beats_every_control": False, "tally": {},
                       "deciding": [], "reason": "None."},
            "sample": [], "gallery": [], "limits": [],
        }
    )  # fmt: skip


def written(folder: Path, tree: object) -> Path:
    path = folder / "reference.json"
    path.write_text(json.dumps(tree))
    return path


def test_a_reference_is_kept_in_the_passport_and_sealed_by_its_digest(
    tmp_path: Path, tree: dict[str, Any], passport: Passport
) -> None:
    reference = load_reference(written(tmp_path, tree), "commissioning")
    with_it = sealed(replace(passport, references=(reference,)))
    save_passport(with_it, tmp_path / "passport.json")
    assert load_passport(tmp_path / "passport.json").references == (reference,)
    assert with_it.digest != sealed(passport).digest
    raised = json.loads((tmp_path / "passport.json").read_text())
    raised["references"][0]["trainings"][0]["hit"]["value"] = 0.99
    (tmp_path / "passport.json").write_text(json.dumps(raised))
    with pytest.raises(PassportRefused, match="altered"):
        load_passport(tmp_path / "passport.json")


def test_a_passport_without_references_has_no_such_key_and_keeps_its_digest(tmp_path: Path, passport: Passport) -> None:
    save_passport(sealed(passport), tmp_path / "passport.json")
    tree = json.loads((tmp_path / "passport.json").read_text())
    assert "references" not in tree
    assert "verdict" not in tree
    assert load_passport(tmp_path / "passport.json").digest == digest_of_passport(passport)
    assert digest_of_passport(passport) == "adfabac6ac8c111848938f4c8b2752ae0885a2b62866a695a514180f6b449dbf"


def test_what_is_wrong_with_a_file_of_references_is_named(tmp_path: Path, tree: dict[str, Any]) -> None:
    def refused(given: object, words: str) -> None:
        with pytest.raises(PassportRefused, match=words):
            load_reference(written(tmp_path, given), "commissioning")

    refused({**tree, "kind": "oracle"}, "kind: Input should be 'unet' or 'retinanet'")
    refused({**tree, "trainings": tree["trainings"][:1]}, "trainings: Tuple should have at least 2 items")
    refused({**tree, "weights": "x"}, "weights: unknown key")
    refused({key: value for key, value in tree.items() if key != "groups"}, "groups: Field required")
    refused({**tree, "split": "train"}, "split 'train'; this passport is about 'commissioning'")
    refused([tree], "cannot be used")
    with pytest.raises(PassportRefused, match="cannot be read"):
        load_reference(tmp_path / "nowhere.json", "commissioning")
    (tmp_path / "text.json").write_text("U-Net: good")
    with pytest.raises(PassportRefused, match="cannot be read as JSON"):
        load_reference(tmp_path / "text.json", "commissioning")


def test_a_loaded_reference_cannot_be_changed(tmp_path: Path, tree: dict[str, Any]) -> None:
    reference = load_reference(written(tmp_path, tree), "commissioning")
    with pytest.raises(FrozenInstanceError):
        reference.slices = 3
