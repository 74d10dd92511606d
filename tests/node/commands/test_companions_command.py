"""``heatproof companions`` from the shell: a new bundle, a plan, and errors in words."""

import json
import re
from pathlib import Path

import pytest
from typer.main import get_command

from inference.bundle.bundle import load_bundle
from inference.companions.architectures import ALTERNATES
from inference.porting.seal import seal
from node.cli import app
from node.commands.models.companions import NOTHING_MADE
from tests.inference.companions.own_site import as_boxes, write_site
from tests.inference.conftest import write_bundle
from tests.node.commands.command import heatproof


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_bundle(tmp_path_factory.mktemp("bundles") / "own")
    seal(folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_site(tmp_path_factory.mktemp("data") / "site")


ROOT = Path(__file__).parents[3]
FEW = ("--replicates", "1", "--alternate", "none", "--localiser", "none", "--epochs", "1", "--device", "cpu")


def test_companions_are_written_as_a_new_bundle_and_the_next_command_is_named(
    own: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new"
    run = heatproof("companions", str(own), "--data", str(data), "--out", str(out), *FEW)
    assert len(load_bundle(out).replicates()) == 1
    assert f"Next: heatproof commission {out}" in run.stdout
    assert "Commission the new bundle with other patients than these" in run.stdout
    again = heatproof("companions", str(own), "--data", str(data), "--out", str(out), *FEW, status=1)
    assert "is there. Name a new folder with --out" in " ".join(again.stderr.split())


def test_where_nothing_comes_of_it_the_exit_status_says_so(own: Path, data: Path, tmp_path: Path) -> None:
    nothing = ("--replicates", "0", "--alternate", "none", "--localiser", "none", "--json")
    run = heatproof(
        "companions", str(own), "--data", str(data), "--out", str(tmp_path / "new"), *nothing, status=NOTHING_MADE
    )
    assert json.loads(run.stdout)["written"] is False
    assert not (tmp_path / "new").exists()


def test_a_plan_gives_hours_memory_and_alpha_and_writes_nothing(own: Path, data: Path) -> None:
    run = heatproof("companions", str(own), "--plan", "--data", str(data), "--json", "--device", "cpu")
    planned = json.loads(run.stdout)
    assert {"sizes", "trainings", "hours", "free_gib", "certifying", "alphas", "lines"} <= set(planned)
    assert planned["sizes"]["trained"] == 12
    run = heatproof("companions", str(own), "--plan", "--patients", "300", "--device", "cpu", "--alternate", "none")
    assert "120 patients are trained on" in run.stdout
    assert "alpha = " in run.stdout
    heatproof("companions", str(own), "--plan", status=2)


def test_boxes_are_told_from_masks(own: Path, tmp_path: Path) -> None:
    site = write_site(tmp_path / "site", as_boxes)
    run = heatproof("companions", str(own), "--data", str(site), "--out", str(tmp_path / "new"), *FEW)
    assert "cases have boxes" in run.stdout


def test_too_few_patients_are_refused_in_words(own: Path, data: Path, tmp_path: Path) -> None:
    run = heatproof(
        "companions", str(own), "--data", str(data), "--out", str(tmp_path / "new"), "--split", "commissioning",
        status=1,
    )  # fmt: skip
    assert "2 patients are too few to train companions on: 12 is the least." in " ".join(run.stderr.split())


def test_every_option_and_name_in_the_guide_is_one_of_the_command() -> None:
    text = (ROOT / "deploy/guide/companions.md").read_text()
    known = {name for parameter in get_command(app).commands["companions"].params for name in parameter.opts}
    options = set(re.findall(r"--[a-z]+", text))
    assert options <= known
    assert {name for name in known if name.startswith("--")} - options <= {"--help"}
    assert set(re.findall(r"`((?:dense|res|efficient)net[\w-]+)`", text)) == set(ALTERNATES)
