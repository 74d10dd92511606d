"""The command `heatproof`: it teaches, answers machines in JSON, and fails with a sentence and a cure."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from inference.phantom.phantom import make_phantom
from reports.objects.phantom_study import write_study
from tests.node.commands.command import heatproof

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def explained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    folder = tmp_path_factory.mktemp("explain")
    write_study(make_phantom(1), folder / "study")
    out = folder / "out"
    run = heatproof("explain", str(folder / "study"), "--bundle", "glioma_flair", "--out", str(out), "--json")
    return out, json.loads(run.stdout)


def test_methods_are_listed_for_machines_with_papers_and_parameters() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "node", "methods", "--json"], capture_output=True, text=True, cwd=ROOT, check=True
    )
    names = {row["name"]: row for row in json.loads(run.stdout)}
    assert {"gradient", "integrated_gradients", "gradcam"} <= set(names)
    assert names["integrated_gradients"]["parameters"]["steps"] == 24


@pytest.mark.slow
def test_every_shipped_bundle_is_sealed() -> None:
    states = {row["name"]: row["state"] for row in json.loads(heatproof("bundles", "--json").stdout)}
    assert states == dict.fromkeys(("brain_tumour_t1ce", "glioma_flair", "glioma_flair_unguided"), "sealed")


@pytest.mark.slow
def test_the_example_settings_pass_the_check(tmp_path: Path) -> None:
    settings = tmp_path / "heatproof.toml"
    settings.write_text(heatproof("config", "example", "--home", str(tmp_path / "home"), "--port", "11199").stdout)
    assert "is good" in heatproof("config", "check", "--config", str(settings)).stdout


def test_wrong_settings_end_with_every_problem_and_the_status_of_sysexits(tmp_path: Path) -> None:
    settings = tmp_path / "wrong.toml"
    settings.write_text('[node]\nhome = "h"\nprot = 1\nquiet_seconds = -1\n[http]\ntoken_file = "t"\n')
    said = heatproof("config", "check", "--config", str(settings), status=78).stderr
    assert "prot" in said
    assert "quiet_seconds" in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_explain_writes_pictures_raw_maps_objects_and_every_number(explained: tuple[Path, dict[str, object]]) -> None:
    out, result = explained
    assert json.loads((out / "result.json").read_text()) == result
    (series,) = result["series"]  # type: ignore[misc]
    for item in series["explanations"]:
        assert np.load(item["raw_map"]).dtype == np.float32
        assert Path(item["picture"]).stat().st_size > 10_000
        assert item["verdict"] == "UNCOMMISSIONED"
    roles = [written["role"] for written in series["objects"]]
    assert roles.count("report") == 1
    for written in series["objects"]:
        assert dcmread(written["path"], stop_before_pixels=True).SOPInstanceUID == written["sop_instance_uid"]


@pytest.mark.slow
def test_an_unknown_bundle_or_method_is_answered_with_what_there_is(tmp_path: Path) -> None:
    write_study(make_phantom(1, slices=4), tmp_path / "study")
    where = ["explain", str(tmp_path / "study"), "--out", str(tmp_path / "out")]
    assert "glioma_flair" in heatproof(*where, "--bundle", "glioma", status=1).stderr
    said = heatproof(*where, "--bundle", "glioma_flair", "--method", "gradcm", status=1).stderr
    assert "gradcam" in said


@pytest.mark.slow
def test_a_folder_without_an_image_is_answered_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("no image")
    said = heatproof(
        "explain", str(tmp_path), "--bundle", "glioma_flair", "--out", str(tmp_path / "o"), status=1
    ).stderr
    assert "heatproof: The study has no readable image series." in said.replace("\n", " ")
    assert "Traceback" not in said
