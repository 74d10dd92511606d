"""Each type of model: what MONAI's own reader, Compose and network give, and a finding in its right place."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
import torch

from inference.analyse import analyse
from inference.options import AnalysisOptions
from inference.prepare import prepare
from inference.selection import select_stacks
from reports.objects.results import write_results
from tests.inference.bundle.types import studies
from tests.inference.bundle.types.making import APART, Monai, answering, changes, logits_of, marking, write
from tests.inference.bundle.types.model_types import TYPES

NAMES = [pytest.param(name, marks=[pytest.mark.slow] if kind.slow else []) for name, kind in TYPES.items()]
MARKING = [name for name in NAMES if name.values[0] not in ("efficientnet", "seresnet50")]
"""The marking network stands in the place of their own: of those that differ by it alone, one."""


@pytest.mark.parametrize("name", NAMES)
def test_a_network_sees_and_answers_what_it_does_in_monai(name, tmp_path):
    kind, monai = TYPES[name], Monai(TYPES[name])
    study = kind.study(tmp_path / "study")
    theirs = monai.inputs(study.for_monai)
    networks = [monai.network(seed, theirs) for seed in range(kind.folds)]
    bundle = write(tmp_path / name, kind, networks, kind.configuration)
    images = select_stacks(study.files, bundle).reading.images
    mine = torch.cat([prepare(bundle, image).tensor for image in images])
    assert mine.shape == theirs.shape
    assert float((mine - theirs).abs().max()) <= 1e-5 * max(1.0, float(theirs.abs().max()))
    expected = expected_of(kind, networks, theirs)
    with torch.inference_mode():
        given = bundle.primary().module(mine)
        wrong = [bundle.primary().module(changed) for changed in changes(mine)]
    given, *wrong = (probabilities(kind, output) if kind.folds > 1 else output for output in (given, *wrong))
    assert float((given - expected).abs().max()) <= 1e-4
    if kind.folds == 1:
        assert min(float((output - expected).abs().max()) for output in wrong) > APART


@pytest.mark.parametrize(
    ("name", "orientation"),
    [
        ("ct_volume", studies.OBLIQUE),
        ("ct_volume", studies.CORONAL),
        ("ct_volume", studies.MIRRORED),
        ("mr_slices_in_mm", studies.OBLIQUE),
        ("mr_slices_in_mm", studies.MIRRORED),
    ],
)
def test_a_network_sees_what_it_does_in_monai_whichever_way_the_series_lies(name, orientation, tmp_path):
    kind = TYPES[name]
    study = kind.study(tmp_path / "study", orientation)
    configuration, network = marking(kind)
    bundle = write(tmp_path / name, kind, [network], configuration, layer="1")
    (image,) = select_stacks(study.files, bundle).reading.images
    order = [study.files.index(frame.path) for frame in image.frames]
    theirs = Monai(kind).inputs(study.for_monai if kind.kind == "volume" else [study.for_monai[at] for at in order])
    assert float((prepare(bundle, image).tensor - theirs).abs().max()) <= 1e-5 * max(1.0, float(theirs.abs().max()))


def expected_of(kind, networks, inputs):
    """Return MONAI's logits; of several folds the mean probability; of grades a logit each."""
    logits = [logits_of(network, inputs) for network in networks]
    if kind.folds > 1:
        return torch.stack([probabilities(kind, output) for output in logits]).mean(dim=0)
    if kind.activation == "ordinal":
        return torch.cat([-logits[0][:, :1], logits[0]], dim=1)
    return logits[0]


def probabilities(kind, logits):
    return logits.softmax(dim=1) if kind.activation == "softmax" else logits.sigmoid()


@pytest.mark.parametrize("name", MARKING)
def test_a_finding_comes_back_to_its_place_in_overlay_and_report(name, tmp_path):
    kind = TYPES[name]
    study = kind.study(tmp_path / "study")
    analysis = marked(kind, name, study, tmp_path)
    check_place(analysis, study)
    objects = write_results(analysis, tmp_path / "results", created=datetime(2026, 11, 28, tzinfo=UTC))
    assert {"capture", "report"} <= {written.role for written in objects}
    assert all(written.path.stat().st_size > 0 for written in objects)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "method", "layer"),
    [
        ("efficientnet", "integrated_gradients", ""),
        ("efficientnet", "gradcam", "_bn0"),
        ("seresnet50", "gradient", ""),
        ("seresnet50", "gradcam", "layer0.relu1"),
    ],
)
def test_the_architectures_own_answer_to_a_place_comes_back_to_it(name, method, layer, tmp_path):
    """Their own layers, with weights that answer to what is bright."""
    kind, monai = TYPES[name], Monai(TYPES[name])
    study = kind.study(tmp_path / "study")
    network = answering(monai.untrained(), monai.inputs(study.for_monai))
    bundle = write(tmp_path / name, replace(kind, manifest={"method": method}), [network], kind.configuration, layer)
    (image,) = select_stacks(study.files, bundle).reading.images
    options = AnalysisOptions(method=method, device="cpu", planes_explained=1)
    analysis = analyse(image, bundle, options)
    assert {finding.position for finding in analysis.classification.findings} == {study.spot[0]}
    check_place(analysis, study)


@pytest.mark.parametrize("orientation", [studies.OBLIQUE, studies.CORONAL, studies.MIRRORED])
@pytest.mark.parametrize("name", ["ct_volume", "ct_slices"])
def test_a_finding_comes_back_to_its_place_whichever_way_the_series_lies(name, orientation, tmp_path):
    """Through Orientation, Spacing, crops that follow the image, pads and flips."""
    study = {"ct_volume": studies.ct_volume, "ct_slices": studies.ct}[name](tmp_path / "study", orientation)
    check_place(marked(TYPES[name], name, study, tmp_path), study)


def marked(kind, name, study, tmp_path):
    """Analyse a study by the network that answers to its brightest place."""
    configuration, network = marking(kind)
    bundle = write(tmp_path / name, kind, [network] * kind.folds, configuration, layer="1")
    image = select_stacks(study.files, bundle).reading.images[0]
    return analyse(image, bundle, AnalysisOptions(device="cpu", planes_explained=1))


def check_place(analysis, study):
    """Check plane, row and column of the map's peak, each to one."""
    shown = analysis.explanations[0].map
    plane = next(i for i, frame in enumerate(analysis.image.frames) if frame.path == study.files[study.spot[0]])
    place = (shown.frame, *shown.peak)
    assert np.abs(np.array(place) - (plane, *study.spot[1:])).max() <= 1, place
