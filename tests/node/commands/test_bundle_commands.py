"""`heatproof bundle`: from a folder of MONAI's zoo to a sealed bundle, as typed."""

import json
from pathlib import Path

from tests.inference.porting.zoo_like import write_zoo_like
from tests.node.commands.command import heatproof


def test_a_bundle_of_the_zoo_is_initialised_checked_and_sealed(tmp_path: Path) -> None:
    folder = write_zoo_like(tmp_path / "head")
    assert "bundle check" in heatproof("bundle", "init", str(folder)).stderr
    checked = json.loads(heatproof("bundle", "check", str(folder), "--json").stdout)
    assert {entry["state"] for entry in checked} == {"good"}
    assert "head is sealed: " in heatproof("bundle", "seal", str(folder)).stdout
    listed = json.loads(heatproof("bundles", "--folder", str(tmp_path), "--json").stdout)
    assert {entry["name"]: entry["state"] for entry in listed}["head"] == "sealed"


def test_what_is_open_is_asked_for_by_name_and_answered_by_set(tmp_path: Path) -> None:
    folder = write_zoo_like(tmp_path / "head", name="", image={"modality": "none"})
    assert "--set modality=" in heatproof("bundle", "init", str(folder), status=78).stderr
    assert not (folder / "bundle.toml").exists()
    heatproof("bundle", "init", str(folder), "--set", "modality=CR")
    assert 'modality = ["CR"]' in (folder / "bundle.toml").read_text()


def test_the_manifest_can_be_printed_without_being_written(tmp_path: Path) -> None:
    folder = write_zoo_like(tmp_path / "head")
    assert '[primary]\nfile = "models/model.pt"' in heatproof("bundle", "init", str(folder), "--print").stdout
    assert not (folder / "bundle.toml").exists()


def test_a_check_that_finds_a_fault_ends_with_status_one(tmp_path: Path) -> None:
    folder = write_zoo_like(tmp_path / "head")
    assert "Wrong: 1 of these." in heatproof("bundle", "check", str(folder), status=1).stdout


def test_the_preprocessing_is_drawn(tmp_path: Path) -> None:
    folder = write_zoo_like(tmp_path / "head")
    heatproof("bundle", "init", str(folder))
    said = heatproof("bundle", "explain-preprocessing", str(folder), "--out", str(tmp_path / "steps.png")).stdout
    assert "ScaleIntensityd: 1 x 48 x 40" in said
    assert (tmp_path / "steps.png").stat().st_size > 1_000


def test_a_missing_folder_is_not_called_a_bundle(tmp_path: Path) -> None:
    study = tmp_path / "study"
    study.mkdir()
    words = ("explain", str(study), "--bundle", str(tmp_path / "none"), "--out", str(tmp_path / "out"))
    assert "There is no folder" in heatproof(*words, status=1).stderr
