"""``heatproof adopt`` from the shell: one network becomes a commissioned bundle, and a page says what of it."""

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.main import get_command

from inference.bundle.bundle import load_bundle
from inference.passport.passport import load_passport
from inference.passport.verdict import NO_OUTLINES, FittedVerdict, NoVerdict
from node.cli import app
from node.commands.models.adopt import NOT_TRUSTED
from node.settings.inference import InferenceSettings
from tests.inference.adopting.disc_site import Change, without_masks, write_discs, write_network
from tests.inference.companions.own_site import as_boxes
from tests.node.commands.command import Run, heatproof
from tests.node.commands.test_commission_command import SIZES as COSTLY

pytestmark = pytest.mark.usefixtures("few_removals")
ROOT = Path(__file__).parents[3]
SIZES = (*(f"{size}_cases" for size in COSTLY), "smprt_samples")
FEW = {"train": 12, "calibration": 5, "commissioning": 5}
QUICK = ("--replicates", "1", "--alternate", "none", "--epochs", "2", "--no-guide", "--device", "cpu")
ALONE = ("--replicates", "0", "--alternate", "none", "--localiser", "none", "--no-guide", "--device", "cpu")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with random weights, as MONAI's zoo has them."""
    return write_network(tmp_path_factory.mktemp("own") / "discs")


@pytest.fixture(scope="module")
def site_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Change], Path]:
    return lambda change: write_discs(tmp_path_factory.mktemp("data") / "data", patients=FEW, change=change)


def adopted(own: Path, data: Path, out: Path, *more: str, status: int = NOT_TRUSTED) -> Run:
    sizes = [word for size in SIZES for word in ("--size", f"{size}=2")]
    return heatproof("adopt", str(own), "--data", str(data), "--out", str(out), *sizes, *more, status=status)


@pytest.mark.slow
def test_one_network_and_boxes_become_a_bundle_a_passport_and_a_page_and_are_not_made_twice(
    own: Path, site_of: Callable[[Change], Path], tmp_path: Path
) -> None:
    data, out = site_of(as_boxes), tmp_path / "site"
    run = adopted(own, data, out, *QUICK)
    assert sorted(path.name for path in own.iterdir()) == ["LICENSE", "configs", "models"]
    bundle = load_bundle(out / "bundles" / "discs_companions")
    assert len(bundle.replicates()) == 1
    passport = load_passport(out / "passports" / "discs_companions" / "passport.json")
    assert passport.bundle.digest == bundle.identity.digest
    assert not (out / "bundles" / "discs_companions.work").exists()
    assert passport.data.splits["commissioning"].masked == FEW["commissioning"]
    assert passport.methods[passport.bundle.method].criteria["localisation_average_precision"].also["energy"].value
    told = json.loads((out / "adoption.json").read_text())
    assert "cases have boxes" in told["companions"][0]
    page = (out / "adoption.html").read_text()
    assert run.stdout.startswith(told["first"])
    assert told["first"].split(":")[0] in page
    assert "Which next step buys most" in page
    assert "Next step 1: " in run.stdout
    settings = tomllib.loads((out / "settings.toml").read_text())
    assert settings["rules"][0]["bundles"] == ["discs_companions"]
    chosen = InferenceSettings(**settings["inference"])
    assert chosen.bundle_folders == ((out / "bundles").resolve(),)
    assert "replicate 1: " in run.stderr
    assert "\x1b" not in run.stderr
    weights = {path: path.stat().st_mtime_ns for path in (out / "bundles").rglob("*.safetensors")}
    (out / "passports" / "discs_companions" / "passport.json").unlink()
    again = adopted(own, data, out, *QUICK, "--resume")
    assert {path: path.stat().st_mtime_ns for path in (out / "bundles").rglob("*.safetensors")} == weights
    assert again.stdout == run.stdout
    assert load_passport(out / "passports" / "discs_companions" / "passport.json").digest == passport.digest
    refused = adopted(own, data, out, *QUICK, status=1)
    assert "holds an adoption that was begun. Give --resume" in " ".join(refused.stderr.split())
    other = adopted(own, data, out, *QUICK, "--resume", "--seed", "2", status=1)
    assert "was begun with other settings (seed)" in " ".join(other.stderr.split())


@pytest.mark.slow
def test_without_masks_the_first_line_says_so_and_the_node_gets_no_passport(
    own: Path, site_of: Callable[[Change], Path], tmp_path: Path
) -> None:
    out = tmp_path / "site"
    run = adopted(own, site_of(without_masks), out, *QUICK[:4], "--epochs", "1", "--device", "cpu")
    assert " ".join(run.stdout.split()).startswith(NO_OUTLINES)
    assert "Outline findings" in run.stdout
    bundle = load_bundle(out / "bundles" / "discs_companions")
    assert bundle.localiser() is None
    passport = load_passport(out / "passports" / "discs_companions" / "passport.json")
    assert passport.verdict == NoVerdict(NO_OUTLINES)
    assert passport.chosen.reason == NO_OUTLINES
    entry = passport.methods[passport.bundle.method]
    assert entry.criteria["localisation_hit_rate"].value is None
    assert entry.criteria["repeatability_spearman"].value is not None
    assert NO_OUTLINES in (out / "passports" / "discs_companions" / "report.html").read_text()
    assert "passport_folder" not in tomllib.loads((out / "settings.toml").read_text())["inference"]


@pytest.mark.slow
def test_a_network_that_sees_the_findings_gets_a_verdict_and_one_that_learnt_a_marker_is_named_by_the_same_commands(
    tmp_path: Path,
) -> None:
    seen = write_discs(tmp_path / "seen")
    adopted(write_network(tmp_path / "sees", seen), seen, tmp_path / "a", "--replicates", "1", "--alternate", "none",
            "--no-guide", "--epochs", "12", "--alpha", "0.2", "--device", "cpu")  # fmt: skip
    told = json.loads((tmp_path / "a" / "adoption.json").read_text())
    assert "cannot be certified on the 32 groups with a map" in told["first"]
    verdict = load_passport(tmp_path / "a" / "passports" / "sees_companions" / "passport.json").verdict
    assert isinstance(verdict, FittedVerdict)
    assert tomllib.loads((tmp_path / "a" / "settings.toml").read_text())["inference"]["alpha"] == 0.2
    marked = write_discs(tmp_path / "marked", contrast=0, is_marked=True)
    adopted(write_network(tmp_path / "learnt", marked), marked, tmp_path / "b", *ALONE)
    told = json.loads((tmp_path / "b" / "adoption.json").read_text())
    assert any("as a network does that learnt a shortcut" in sentence for sentence in told["missing"])
    assert told["figures"]["accuracy"] > 0.9
    assert told["steps"][0]["title"] == "Guidance"


@pytest.mark.slow
def test_a_network_of_chance_and_a_class_without_cases_are_said(tmp_path: Path) -> None:
    data = write_discs(tmp_path / "data", contrast=0, patients=FEW, change=without_masks)
    own = write_network(tmp_path / "chance", names=("normal", "lesion", "abscess"))
    adopted(own, data, tmp_path / "site", *ALONE)
    told = json.loads((tmp_path / "site" / "adoption.json").read_text())
    assert told["first"].startswith("This network tells the classes apart no better than chance on your cases")
    assert any(sentence.startswith("abscess: nobody annotated a case of this class") for sentence in told["missing"])
    assert told["bundle"] == "chance"


def test_nodes_are_asked_and_a_place_that_they_do_not_look_into_is_refused_with_the_cure(
    own: Path, site_of: Callable[[Change], Path], tmp_path: Path
) -> None:
    settings = tmp_path / "heatproof.toml"
    node = f'[node]\nhome = "{tmp_path}"\ncommissioning_folder = "{tmp_path / "shared"}"\n'
    settings.write_text(f'{node}[http]\ntoken_file = "{tmp_path / "token"}"\n')
    run = adopted(own, site_of(as_boxes), tmp_path / "site", *QUICK, "--nodes", str(settings), status=78)
    assert "does not lie in node.commissioning_folder" in " ".join(run.stderr.split())


def test_a_plan_trains_nothing_and_says_hours_and_alpha(own: Path, tmp_path: Path) -> None:
    run = heatproof(
        "adopt", str(own), "--plan", "--patients", "300", "--json", "--device", "cpu", "--alternate", "none"
    )
    planned = json.loads(run.stdout)
    assert planned["hours"] == pytest.approx(planned["companions"]["hours"] + planned["commission_hours"])
    assert {entry["kind"] for entry in planned["companions"]["trainings"]} == {"guided", "replicate", "localiser"}
    assert planned["commissioned_cases"] == 90
    assert "smallest alpha that can be certified at best is 0.031" in planned["lines"][-1]
    assert sorted(path.name for path in own.iterdir()) == ["LICENSE", "configs", "models"]
    heatproof("adopt", str(own), "--plan", status=2)


def test_every_option_in_the_guide_is_one_of_the_command() -> None:
    text = (ROOT / "deploy/guide/adopt.md").read_text()
    known = {name for parameter in get_command(app).commands["adopt"].params for name in parameter.opts}
    known |= {name for parameter in get_command(app).commands["adopt"].params for name in parameter.secondary_opts}
    assert {option for option in re.findall(r"--[a-z-]+", text) if len(option) > 3} - known <= {"--dicom"}
