"""A bundle with companions: it loads, its networks take the same input, and what could not be had is said first."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from inference.bundle.bundle import Bundle, load_bundle
from inference.companions import settings
from inference.companions.assembling import Companion, assemble, manifest_of_new
from inference.companions.companions import make_companions
from inference.companions.networks import trainable
from inference.companions.report import CompanionReport
from inference.errors import Refused, UnknownName, Unsuitable
from inference.porting.check import check
from inference.porting.seal import tried_input
from inference.prepare import prepare
from node.commands.image_study import write_image
from tests.inference.companions.own_site import (
    QUICK,
    cases_of,
    made,
    relabelled,
    source_of,
    without_masks,
    write_site,
)


@pytest.fixture(scope="module")
def all_of_it(own: Bundle, data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[CompanionReport, Path]:
    out = tmp_path_factory.mktemp("new") / "Own with Companions"
    report = made(own, data, out, replicates=2, alternate="resnet_small", localiser="unet", epochs=2)
    return report, out


def test_a_bundle_with_companions_loads_and_its_networks_take_the_bundles_input(
    own: Bundle, all_of_it: tuple[CompanionReport, Path]
) -> None:
    report, out = all_of_it
    new = load_bundle(out)
    assert new.manifest.name == "own_with_companions"
    assert {entry.kind for entry in report.companions} == {"replicate", "alternate", "localiser"}
    image, given = tried_input(own)
    same = prepare(new, image)
    assert torch.equal(same.tensor, given.tensor)
    classifiers = (new.primary(), *new.replicates(), *new.alternates())
    assert len(classifiers) == 4
    with torch.inference_mode():
        assert all(network.module(same.tensor).shape == (len(same.tensor), 2) for network in classifiers)
        assert torch.equal(new.primary().module(same.tensor), own.primary().module(given.tensor))
        localiser = new.localiser()
        assert localiser is not None
        assert new.marked(localiser.module(same.tensor)).shape == (len(same.tensor), 32, 32)
    assert type(new.alternates()[0].module).__name__ == "ResNet"


def test_a_bundle_with_companions_passes_bundle_check(all_of_it: tuple[CompanionReport, Path], tmp_path: Path) -> None:
    checked = list(check(all_of_it[1], lambda image: write_image(image, tmp_path), ()))
    assert not [entry.sentence for entry in checked if entry.state == "wrong"]


def test_the_report_says_how_independent_each_is_in_the_readme_too(all_of_it: tuple[CompanionReport, Path]) -> None:
    report, out = all_of_it
    for entry in report.companions:
        if entry.kind != "localiser":
            assert entry.independence is not None
            assert 0 <= entry.independence.wrong_of_both <= entry.independence.wrong_of_primary
            assert "errors of the primary it shares" in entry.line
    readme = (out / "README.md").read_text()
    assert all(line in readme for line in report.lines)
    noted = json.loads((out / "companions.json").read_text())
    assert noted["lines"] == list(report.lines)
    assert len(noted["cases"]) == 36
    assert not (out.parent / f"{out.name}.work").exists()


def test_no_patient_is_named_in_what_is_written(all_of_it: tuple[CompanionReport, Path]) -> None:
    text = (all_of_it[1] / "companions.json").read_text()
    assert not [name for name in (f'"P{number}"' for number in range(1, 15)) if name in text]


def test_companions_of_companions_replace_their_kind_and_keep_the_others(
    all_of_it: tuple[CompanionReport, Path], tmp_path: Path
) -> None:
    report, out = all_of_it
    old = load_bundle(out)
    network = Companion("replicate_1", "replicate", trainable(old))
    manifest = manifest_of_new(old, [network], "again")
    assert [entry.file for entry in manifest.replicates] == ["models/companion_replicate_1.safetensors"]
    assert manifest.alternates == old.manifest.alternates
    assert manifest.localiser == old.manifest.localiser
    assemble(old, [network], report, tmp_path / "again")
    again = load_bundle(tmp_path / "again")
    assert len(again.replicates()) == 1
    assert again.localiser() is not None
    assert (tmp_path / "again" / "README.md").read_text().count("## Companions") == 1


def test_a_guided_primary_is_shown_in_place_of_the_given_one(
    own: Bundle, all_of_it: tuple[CompanionReport, Path], tmp_path: Path
) -> None:
    network = trainable(own)
    with torch.no_grad():
        next(network.parameters()).mul_(1.5)
    assemble(own, [Companion("primary_guided", "guided", network)], all_of_it[0], tmp_path / "guided")
    new = load_bundle(tmp_path / "guided")
    _, given = tried_input(own)
    with torch.inference_mode():
        assert torch.equal(new.primary().module(given.tensor), network.eval()(given.tensor))
    assert not (tmp_path / "guided" / "models" / "model.safetensors").exists()


def test_without_masks_there_are_replicates_and_alternate_and_the_first_line_says_so(
    own: Bundle, tmp_path: Path
) -> None:
    data = write_site(tmp_path / "site", without_masks)
    report = made(own, data, tmp_path / "new", alternate="densenet_small", localiser="auto", epochs=1)
    assert report.lines[0].startswith("No masks: replicates and an alternate only")
    assert "capped at CAUTION" in report.lines[0]
    assert load_bundle(tmp_path / "new").localiser() is None
    assert {entry.kind for entry in report.companions} == {"replicate", "alternate"}
    for asked in ({"localiser": "unet"}, {"guide": True}):
        with pytest.raises(Unsuitable, match=r"no masks and no boxes .* needs them\. Outline findings"):
            made(own, data, tmp_path / "other", **asked)


def test_a_localiser_no_better_than_the_average_mask_is_left_out_and_that_is_said(own: Bundle, tmp_path: Path) -> None:
    def unseen(row: dict[str, str]) -> None:
        row |= dict.fromkeys(("x0", "y0", "x1", "y1"), "")
        if row["mask"]:
            row |= {"mask": "", "x0": "2", "y0": "2", "x1": "5", "y1": "5"}  # always there, whatever the image shows

    data = write_site(tmp_path / "site", unseen)
    report = made(own, data, tmp_path / "new", replicates=0, localiser="unet", epochs=1)
    assert not report.written
    assert report.left_out[0].startswith("No localiser: its peak lies in the mask of")
    assert report.masks.boxes


def test_nothing_is_written_over_and_unfinished_work_is_not_lost(own: Bundle, data: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(Refused, match=r"is there\. Name a new folder"):
        made(own, data, tmp_path / "there")

    class Stopped(Exception):
        pass

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "replicate 1" and done == 3:
            raise Stopped

    out = tmp_path / "new"
    with pytest.raises(Stopped):
        make_companions(own, source_of(data), QUICK, out, progress=stop, checkpoint_seconds=0.0)
    assert not out.exists()
    with pytest.raises(Refused, match=r"unfinished work of an earlier run\. Give --resume"):
        made(own, data, out)


def test_what_is_asked_for_by_a_wrong_name_is_told_the_right_ones(own: Bundle, data: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"no alternate 'vgg'\. There are: auto, none, densenet_small"):
        made(own, data, tmp_path / "new", alternate="vgg")
    with pytest.raises(UnknownName, match=r"no localiser 'yolo'\. There are: auto, none, unet, segresnet"):
        made(own, data, tmp_path / "new", localiser="yolo")
    with pytest.raises(Unsuitable, match=r"no row of the split 'training'\. There are: commissioning, train"):
        made(own, data, tmp_path / "new", splits=("training",))


def test_guidance_that_makes_classification_worse_gives_no_new_bundle(
    make_bundle: Callable[..., Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = make_bundle("given")
    data = write_site(tmp_path / "site")
    cases = cases_of(given, data, tmp_path / "cases")
    logits = given.primary().module(torch.from_numpy(cases.inputs_of(range(36))))
    difference = logits[:, 1] - logits[:, 0]
    line = difference.sort().values[17:19].mean()
    above = difference > line  # the annotation agrees with the network as given: nothing can be better than it
    labels = {case.name: "lesion" if above[at] else "none" for at, case in enumerate(cases.entries)}
    relabelled(data, labels)
    network = given.primary().module
    with torch.no_grad():
        last = [module for module in network.modules() if isinstance(module, torch.nn.Linear)][-1]
        last.bias[1] -= line
    wild = replace(settings.SCHEDULES["guided", "given"], learning_rate=1.0)
    monkeypatch.setitem(settings.SCHEDULES, ("guided", "given"), wild)
    report = made(given, data, tmp_path / "new", replicates=0, guide=True, epochs=2)
    assert report.guidance is not None
    assert report.guidance.accuracy_given.value == 1.0
    assert report.guidance.accuracy_guided.value < 1.0
    assert not report.guidance.taken
    assert not report.written
    assert not (tmp_path / "new").exists()
    assert any(line.startswith("As given: accuracy 1.00") for line in report.lines)
    assert any(line.startswith("Guided:   accuracy") for line in report.lines)
    assert "classification may be worse" in report.lines[1]
