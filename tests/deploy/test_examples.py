"""Every example of the guide does what its docstring says, on a phantom's result or a store made for it."""

import json
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from inference.passport.passport import SHIPPED_PASSPORTS, load_passport
from inference.phantom.phantom import Phantom, make_phantom
from inference.porting.proposal import propose
from inference.saliency import explain, registry
from inference.trust.warrant import Warrant
from node.commands.explain import explain_files
from node.web.access.caller import Scope
from reports.audit.export import export
from reports.audit.ledger import entries
from reports.objects.phantom_study import write_study
from tests.node.web.web import WebServer
from tests.node.web.web_site import Site

EXAMPLES = Path(__file__).parents[2] / "deploy" / "guide" / "examples"
BUNDLE = "glioma_flair"
PASSPORT = SHIPPED_PASSPORTS / "phantoms" / BUNDLE / "passport.json"


def run(name: str, *arguments: object) -> int:
    """Run an example as a script, in this process; give its exit status."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *map(str, arguments)])
        try:
            runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        except SystemExit as end:
            return int(end.code or 0)
    return 0


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom(7)


@pytest.fixture(scope="module")
def study(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom")
    write_study(phantom, folder)
    return folder


@pytest.fixture(scope="module")
def result(study: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `heatproof explain` gives for the phantom's one series."""
    out = tmp_path_factory.mktemp("result")
    warrant = Warrant.of(load_passport(PASSPORT), alpha=0.1, delta=0.1, budget="fast")
    arguments: dict[str, Any] = {"method": None, "planes_explained": 1, "device": "cpu", "warrant": warrant}
    told = explain_files(study, BUNDLE, out, progress=lambda _step: None, **arguments)
    (series,) = told["series"]
    return dict(series)


def test_every_example_is_tested_here() -> None:
    text = Path(__file__).read_text()
    assert [path.name for path in EXAMPLES.iterdir() if f'run("{path.name}"' not in text] == []


@pytest.mark.slow
def test_one_file_is_explained_as_the_command_explains_its_series(
    study: Path, result: dict[str, Any], phantom: Phantom, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("explain_one_file.py", study, BUNDLE, tmp_path, PASSPORT) == 0
    (shown,) = result["explanations"]
    line = capsys.readouterr().out
    assert f"series 1: {shown['label']}, probability {shown['probability']:.3f}, " in line
    assert line.strip().endswith(shown["verdict"])
    values = np.load(tmp_path / "map-1-1.npy", allow_pickle=False)
    assert values.shape == phantom.pixels.shape[1:]
    row, column = np.unravel_index(values.argmax(), values.shape)
    assert f"peak at row {row}, column {column}:" in line

    assert run("explain_one_file.py", study / "IM0001.dcm", BUNDLE, tmp_path) == 0
    assert "series 1: not analysed: " in capsys.readouterr().out


@pytest.mark.slow
def test_a_report_is_read_with_its_verdict_and_the_capture_it_points_at(
    result: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    (report,) = (written["path"] for written in result["objects"] if written["role"] == "report")
    assert run("read_report.py", report) == 0
    (shown,) = result["explanations"]
    title, *lines = capsys.readouterr().out.splitlines()
    assert title.startswith(shown["label"])
    assert lines == [
        f"  probability {shown['probability']:.3f}",
        f"  P (class is right) {shown['class_probability']:.3f}",
        f"  verdict on the map {shown['verdict']}",
        f"  P (peak in a true finding) {shown['score']:.3f}",
        f"  capture {shown['capture']}",
    ]


def test_the_api_is_asked_with_a_token_and_tells_every_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = Site(tmp_path)
    token = tmp_path / "own-token"
    token.write_text(site.add_token("worklist", Scope.READ) + "\n")
    with WebServer(site.application) as server:
        assert run("query_api.py", server.url, token) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 4
    assert any("glioma_flair" in line and "done" in line for line in lines)


def test_an_exported_ledger_is_verified_and_a_changed_row_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site, path = Site(tmp_path), tmp_path / "ledger.jsonl"
    export(site.engine, entries, path, "jsonl")
    head = str(site.ledger.head())
    assert run("verify_ledger.py", path, head) == 0
    assert "every row is as it was written" in capsys.readouterr().out
    lines = path.read_text().splitlines(keepends=True)

    path.write_text("".join(lines[2:]))  # earlier rows let go
    assert run("verify_ledger.py", path, head) == 0
    path.write_text("".join(lines[:-1]))
    assert run("verify_ledger.py", path, head) == 1
    assert f"no row is {head}" in capsys.readouterr().out
    path.write_text("".join([*lines[:2], *lines[3:]]))
    assert run("verify_ledger.py", path) == 1
    assert "row 3 is changed, missing or out of place" in capsys.readouterr().out

    row = json.loads(lines[1])
    path.write_text("".join([lines[0], json.dumps({**row, "event": "delivered"}) + "\n", *lines[2:]]))
    assert run("verify_ledger.py", path) == 1
    assert "row 2 is changed, missing or out of place" in capsys.readouterr().out


@pytest.mark.slow
def test_a_method_written_as_the_guide_says_is_compared_with_controls(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("add_method.py", BUNDLE) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["input_times_gradient", "gradient", "random", "centre"]
    assert all(line.endswith(" planes") for line in lines)


def test_a_method_in_the_registry_is_run_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    method = runpy.run_path(str(EXAMPLES / "add_method.py"))["InputTimesGradient"]()
    monkeypatch.setattr(registry, "_METHODS", {**registry._METHODS, method.info.name: method})
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2, dtype=torch.float32))
    inputs = torch.arange(24, dtype=torch.float32).reshape(2, 1, 3, 4) - 7
    values = explain(network, inputs, 1, method.info.name)
    torch.testing.assert_close(values, inputs[:, 0] * network[1].weight[1].detach().reshape(3, 4))


def eye_track(path: Path, places: list[tuple[float, float]]) -> str:
    """Write the fixations of a reader who looks at some places, (x, y), for a second each; give the file's name."""
    names = ["x_position", "y_position", "timestamp_start_fixation", "timestamp_end_fixation"]
    names += [f"angular_resolution_{axis}_pixels_per_degree" for axis in "xy"]
    names += [f"{edge}_shown_from_image" for edge in ("xmin", "ymin", "xmax", "ymax")]
    rows = [[x, y, second, second + 1, 6, 6, 0, 0, 120, 100] for second, (x, y) in enumerate(places)]
    path.write_text("\n".join(",".join(map(str, row)) for row in [names, *rows]))
    return path.name


def test_maps_are_compared_with_the_gaze_of_the_other_readers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lungs = np.zeros((100, 120), np.uint8)
    lungs[20:80, 20:50] = lungs[20:80, 70:100] = 255
    Picture.fromarray(lungs).save(tmp_path / "lungs.png")
    lines = ["image,patient,map,fixations,lungs,x0,y0,x1,y1"]
    for number, (x, y) in enumerate([(30, 30), (90, 30), (30, 70), (90, 70)]):
        rows, columns = np.mgrid[:100, :120]
        np.save(tmp_path / f"map{number}.npy", np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 100.0))
        for reader in range(2):
            track = eye_track(tmp_path / f"{number}-{reader}.csv", [(60, 50), (x + reader, y)])
            lines.append(f"i{number},p{number},map{number}.npy,{track},lungs.png,15,15,105,85")
    (tmp_path / "cases.csv").write_text("\n".join(lines))
    assert run("compare_with_gaze.py", tmp_path / "cases.csv") == 0
    line = re.compile(r"^(.+) (-?[\d.]+) \[.+\], 4 images of 4 patients$", re.MULTILINE)
    printed = {name: float(value) for name, value in line.findall(capsys.readouterr().out)}
    assert len(printed) == 12
    assert printed["map: shuffled NCC"] > 0.5
    assert printed["map: shuffled AUC"] > 0.7
    assert printed["another reader: NCC"] > 0.95
    assert printed["outline of the lungs: shuffled AUC"] == pytest.approx(0.5, abs=0.05)
    assert printed["outline of the lungs: shuffled NCC"] < 0.05


def annotated(folder: Path) -> Path:
    """Write a set of eight small images as a publisher would, a copy and a group of two labels among them."""
    draw, lines = np.random.default_rng(3), ["file,mask,label,split,group,copy_of"]
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number, (label, split) in enumerate(
        [("benign", "train"), ("malignant", "train"), ("normal", "train"), ("normal", "train"),
         ("benign", "calibration"), ("benign", "commissioning"), ("malignant", "calibration"), ("benign", "test")],
    ):  # fmt: skip
        Picture.fromarray(draw.integers(0, 255, (40, 50)).astype(np.uint8)).save(folder / "images" / f"{number}.png")
        mask = "" if label == "normal" else f"masks/{number}.png"
        if mask:
            Picture.fromarray(draw.random((40, 50)) > 0.5).save(folder / mask)
        group, copy = ("g46" if number in (4, 6) else f"g{number}"), "images/2.png" if number == 3 else ""
        lines.append(f"images/{number}.png,{mask},{label},{split},{group},{copy}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader")  # MONAI's choice of a reader, where there is no GPU
def test_a_published_set_becomes_a_folder_to_adopt_and_a_model_of_it_a_bundle_of_monai(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("annotate_own_patients.py", annotated(tmp_path / "source"), tmp_path / "data") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "train: 3 images of 3 groups (1 benign, 1 malignant, 1 normal)"
    assert lines[1:] == ["calibration: 0 images of 0 groups ()", "commissioning: 1 images of 1 groups (1 benign)",
                         "left out: 4 images"]  # fmt: skip
    assert len(list((tmp_path / "data" / "images").iterdir())) == 4
    assert run("train_own_model.py", tmp_path / "data", tmp_path / "breast", 1) == 0
    proposal = propose(tmp_path / "breast", {})
    assert [entry.name for entry in proposal.manifest.classes] == ["normal", "benign", "malignant"]
    assert proposal.manifest.input.spatial_size == (128, 128)
    assert proposal.manifest.kind == "projection"
