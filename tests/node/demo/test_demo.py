"""`heatproof demo`: the main job, end to end, as a newcomer runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydicom import dcmread

from tests.node.commands.test_cli import ROOT
from tests.patience import patient


@pytest.mark.slow
def test_the_demo_brings_everything_back_and_tells_the_truth(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "node", "demo", "--out", str(tmp_path / "demo")]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=patient(300))
    assert run.returncode == 0, run.stdout + run.stderr
    rows = json.loads((tmp_path / "demo" / "summary.json").read_text())
    by_study: dict[str, list[dict[str, object]]] = {}
    for row in rows:
        by_study.setdefault(row["study"], []).append(row)
    assert len(by_study) == 8
    assert by_study["the first one again"][0]["result"] == "nothing new"
    assert by_study["cut pixel data"][0]["result"] == "refused"
    assert by_study["a chest radiograph"][0]["result"] == "not analysed"
    assert {row["result"] for row in by_study["no lesion"]} == {"nothing found"}
    guided, unguided = by_study["one lesion"]
    assert (guided["bundle"], guided["result"]) == ("glioma_flair", "glioma")
    assert (unguided["bundle"], unguided["result"]) == ("glioma_flair_unguided", "glioma")
    for row in rows:
        for kind in ("dicom", "picture"):
            assert not row[kind] or Path(row[kind]).exists()
        if row["picture"]:
            assert dcmread(row["dicom"], stop_before_pixels=True).Modality == "OT"
            assert row["verdict"] == "WITHHELD" or row["bundle"] == "glioma_flair"
            assert row["right"] or row["verdict"] != "TRUSTED"
    shown = {row["verdict"] for row in rows if row["picture"]}
    assert {"TRUSTED", "OUT OF ENVELOPE", "WITHHELD"} <= shown
