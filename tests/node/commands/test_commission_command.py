"""``heatproof commission`` from the shell: passport and report, a check that finds what changed, errors in words."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from inference.passport.passport import SHIPPED_PASSPORTS, load_passport
from inference.phantom.phantom import make_phantom
from node.commands.models.commission import NOTHING_TO_DEPLOY, show, status_of
from tests.node.commands.command import heatproof

SIZES = (
    "agreement", "cascade", "smprt", "emprt", "contrast", "prediction_saliency", "perturbation", "information",
    "region", "tuning", "sample",
)  # fmt: skip


def said(*arguments: str, status: int) -> str:
    """Return what stands on standard error, on one line."""
    return " ".join(heatproof("commission", *arguments, status=status).stderr.split())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two phantoms of each split, three slices each, the middle of the lesion among them."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "masks").mkdir()
    lines = ["file,mask,label,plane,split,group,slice"]
    for seed in range(1, 5):
        phantom = make_phantom(seed, rows=96, columns=96)
        middle = phantom.lesion_slices[len(phantom.lesion_slices) // 2]
        split = "calibration" if seed < 3 else "commissioning"
        for at in (middle - 1, middle, 2):
            name = f"{seed}_{at:02d}.png"
            Picture.fromarray(np.clip(phantom.pixels[at] * 255, 0, 255).astype(np.uint8)).save(folder / name)
            mask = phantom.masks[at]
            if mask.any():
                Picture.fromarray(mask).save(folder / "masks" / name)
            words = (f"masks/{name}", "glioma") if mask.any() else ("", "none")
            lines.append(f"{name},{words[0]},{words[1]},ax,{split},P{seed},{at}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def written_reference(path: Path) -> Path:
    """Write the figures of a reference, as they stand after its training."""
    figure = {"value": 0.8, "ci": [0.7, 0.9], "n": 4, "groups": 2}
    trainings = [{"seed": seed, "average_precision": figure, "hit": figure} for seed in (11, 12)]
    repeats = dict.fromkeys(("spearman", "ssim", "iou_above_otsu"), figure)
    told = {"set": "phantoms", "kind": "unet", "epochs": 1, "split": "commissioning", "slices": 4, "groups": 2}
    path.write_text(json.dumps({**told, "trainings": trainings, "repeatability": repeats}))
    return path


@pytest.mark.slow
@pytest.mark.usefixtures("few_removals")
def test_commission_writes_passport_and_report_and_check_finds_what_changed(site: Path, tmp_path: Path) -> None:
    sizes = [word for size in SIZES for word in ("--size", f"{size}_cases=2")]
    arguments = ["glioma_flair", "--data", str(site), "--out", str(tmp_path), "--methods", "gradcam", "--threads", "1"]
    told = written_reference(tmp_path / "unet.json")
    run = heatproof("commission", *arguments, *sizes, "--size", "smprt_samples=1", "--references", str(told), "--json")
    passport = json.loads(run.stdout)
    assert passport == json.loads((tmp_path / "passport.json").read_text())
    assert passport["run"]["seconds_per_map"] > 0
    assert 0 < passport["run"]["share_in_network"] < 1
    assert passport["references"][0]["kind"] == "unet"
    calibration = passport["classification"]["classes"]["glioma"]["calibration"]
    assert calibration["recalibration"] is None
    assert "There are 4 patients or groups with it and 4 with a case without it" in calibration["reason"]
    report = (tmp_path / "report.html").read_text()
    assert "Passport of saliency maps" in report
    assert "U-Net, seed 12" in report
    assert not (tmp_path / "work").exists()
    where = ["--check", str(tmp_path / "passport.json"), "--data", str(site), "--threads", "1"]
    checked = json.loads(heatproof("commission", *where, "--json").stdout)
    assert checked["agrees"]
    assert checked["same_fingerprint"]
    assert all(one["identical"] for one in checked["maps"])
    picture = next(site.glob("3_*.png"))
    Picture.fromarray(255 - np.asarray(Picture.open(picture))).save(picture)
    assert "not those of the passport" in said(*where, status=78)
    assert "not about this bundle" in said("glioma_flair_unguided", *where[:2], status=78)


@pytest.mark.parametrize(("bundle", "status"), [("glioma_flair", 0), ("glioma_flair_unguided", NOTHING_TO_DEPLOY)])
def test_the_summary_tells_the_gate_and_the_exit_status_whether_there_is_something_to_deploy(
    bundle: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    passport = load_passport(SHIPPED_PASSPORTS / "phantoms" / bundle / "passport.json")
    show(passport, tmp_path)
    assert status_of(passport) == status
    said = capsys.readouterr()
    out, err = (" ".join(text.split()) for text in (said.out, said.err))
    assert "of 11 deciding, " in out
    assert ("The gate, hit rate less that of bogus maps: SHUT; not beaten: noise" in out) == bool(status)
    assert ("open; beaten: noise" in out) != bool(status)
    assert err == ("heatproof: The gate is shut: the node shows no map." if status else "")


def test_the_help_tells_every_exit_status() -> None:
    words = " ".join(heatproof("commission", "--help").stdout.split())
    for part in ("Exit status 0: there is something to deploy", "3: the passport is written", "1: it failed", "78: "):
        assert part in words, part


def test_wrong_words_end_with_a_sentence_and_no_traceback(tmp_path: Path) -> None:
    assert "--data and --out" in said(status=2)
    (tmp_path / "passport.json").write_text('{"schema": "something else"}')
    assert "is not a passport" in said("--check", str(tmp_path / "passport.json"), status=78)
    size = ["glioma_flair", "--data", str(tmp_path), "--out", str(tmp_path / "out"), "--size", "cascade=3"]
    answer = said(*size, status=1)
    assert "cascade_cases" in answer
    assert "Traceback" not in answer
    told = tmp_path / "unet.json"
    told.write_text('{"set": "glioma_flair"}')
    assert "trainings: Field required" in said(*size[:-2], "--references", str(told), status=78)
