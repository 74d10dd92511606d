"""Several series as channels of one input: found by words, laid over each other in the patient, or not analysed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from inference import archive
from inference.analyse import analyse
from inference.bundle.manifest import parse_manifest
from inference.errors import BundleRefused, OutOfScope
from inference.options import AnalysisOptions
from inference.prepare import prepare
from inference.reading.image import Image
from inference.reading.study import read_series
from inference.selection import account_for, select_stacks
from inference.upright import patient_affine
from tests.inference.bundle.types import studies
from tests.inference.bundle.types.making import MANIFEST, marking, toml, write
from tests.inference.bundle.types.model_types import FOUR, TYPES
from tests.inference.bundle.types.studies import anatomy, series
from tests.inference.reading.files import change

VOLUME = TYPES["four_mr_sequences"]
IDENTITY = """
preprocessing:
- {_target_: LoadImage}
- {_target_: EnsureChannelFirst}
"""
PAIR = [{"name": "FLAIR", "description_contains": ["flair"]}, {"name": "T2", "description_contains": ["t2"]}]
BY_KEY = """
preprocessing:
  _target_: Compose
  transforms:
  - {_target_: LoadImaged, keys: [flair, t2], reader: PydicomReader}
  - {_target_: EnsureChannelFirstd, keys: [flair, t2]}
  - {_target_: ScaleIntensityd, keys: t2}
  - {_target_: ConcatItemsd, keys: [flair, t2], name: image}
"""


@pytest.fixture
def bundle(tmp_path):
    configuration, network = marking(VOLUME)
    return write(tmp_path / "four", VOLUME, [network], configuration, layer="1")


@pytest.fixture
def make_pair(tmp_path):
    """Make a bundle of two series whose preprocessing leaves them as they are."""

    def make(kind="volume", size=(36, 44, 8), preprocessing=IDENTITY, **entry):
        made = replace(
            VOLUME,
            preprocessing=preprocessing,
            kind=kind,
            input={"modality": ["MR"], "spatial_size": list(size), "channels": PAIR, **entry},
        )
        configuration, network = marking(made)
        return write(
            tmp_path / f"pair_{kind}_{len(list(tmp_path.iterdir()))}", made, [network], configuration, layer="1"
        )

    return make


def without(study, words):
    return [path for path in study.files if words not in path.name]


def test_the_series_of_a_study_are_one_input_and_the_others_are_accounted_for(bundle, tmp_path):
    study = studies.mr_sequences(tmp_path / "study")
    selection = select_stacks(study.files, bundle)
    (image,) = selection.reading.images
    assert [stack.description.split(" HEAD")[0] for stack in (image, *image.further)] == [
        "FLAIR",
        "T1 post contrast",
        "T1",
        "T2",
    ]
    reasons = [entry.reason for entry in selection.reading.instances if entry.reason]
    assert len(reasons) == len(study.apart)
    assert "none of the series it takes (FLAIR, T1 post contrast, T1, T2)" in reasons[0]
    result = analyse(image, bundle, AnalysisOptions(device="cpu"))
    assert any("T1 post contrast: T1 post contrast HEAD; T1: T1 HEAD" in remark for remark in result.remarks)


def test_a_missing_series_is_named_and_nothing_is_analysed(bundle, tmp_path):
    study = studies.mr_sequences(tmp_path / "study")
    selection = account_for(without(study, "post"), bundle)
    assert not selection.reading.images
    (declined,) = selection.declined
    assert "There is no T1 post contrast in this study." in declined.reason
    assert sum("no T1 post contrast" in entry.reason for entry in selection.reading.instances) == 24
    (image,) = select_stacks(study.files, bundle).reading.images
    with pytest.raises(OutOfScope, match="There is no T2 beside this series"):
        prepare(bundle, replace(image, further=image.further[:2]))


def test_a_series_of_another_frame_of_reference_is_not_laid_over_the_others(bundle, tmp_path):
    study = studies.mr_sequences(tmp_path / "study")
    for path in study.files:
        if path.name.startswith("T2"):
            change(path, FrameOfReferenceUID="2.25.78")
    (declined,) = account_for(study.files, bundle).declined
    assert "T2 has another Frame of Reference UID (0020,0052)" in declined.reason


def test_of_two_series_for_one_channel_the_one_with_more_planes_is_taken(bundle, tmp_path):
    study = studies.mr_sequences(tmp_path / "study")
    again = series(tmp_path / "study", anatomy((5, 44, 36), 7, None), "again", SeriesDescription="T2", ProtocolName="x")
    selection = select_stacks([*study.files, *again], bundle)
    (image,) = selection.reading.images
    assert len(image.further[2].frames) == 8
    assert sum("Another series was taken" in entry.reason for entry in selection.reading.instances) == 5


def other_grid(folder, name="T2"):
    """Write a T2 series of another orientation, spacing and extent, with its spot at the place of the FLAIR's."""
    flair = series(folder, anatomy((8, 44, 36), 0), "FLAIR", SeriesDescription="FLAIR")
    image = read_series(flair)
    x_y_z = np.array([studies.SPOT[2], studies.SPOT[1], studies.SPOT[0], 1.0])
    place = (np.diag([-1, -1, 1, 1]) @ patient_affine(image.frames[0], 3.0) @ x_y_z)[:3]
    spot, spacing, step = (9, 20, 24), (0.9, 0.7), 2.0
    row_axis, column_axis = np.array(studies.CORONAL[:3]), np.array(studies.CORONAL[3:])
    towards = np.cross(row_axis, column_axis)
    origin = place - column_axis * spot[1] * spacing[0] - row_axis * spot[2] * spacing[1] - towards * step * spot[0]
    grid = np.indices((22, 40, 50))
    away = sum((axis - at) ** 2 for axis, at in zip(grid, spot, strict=True))
    stored = np.rint(1000 * np.exp(-away / 12.0))
    t2 = series(
        folder, stored, name, orientation=studies.CORONAL, step_mm=step, origin=origin,
        PixelSpacing=list(spacing), SeriesDescription="T2",
    )  # fmt: skip
    return [*flair, *t2]


@pytest.mark.parametrize(("kind", "size"), [("volume", (36, 44, 8)), ("slices", (36, 44))])
@pytest.mark.parametrize("layout", ["monai", "rows"])
def test_a_series_of_another_grid_is_resampled_to_the_first_on_the_patients_axes(
    make_pair, tmp_path, kind, size, layout
):
    size = size if layout == "monai" else size[::-1]
    bundle = make_pair(kind, size, layout=layout)
    (image,) = select_stacks(other_grid(tmp_path / "study"), bundle).reading.images
    given = prepare(bundle, image)
    frames = range(8)
    for channel in (0, 1):
        values = given.tensor[:, channel].numpy()
        planes = np.stack([given.to_frame(values[0] if kind == "volume" else values[at], at) for at in frames])
        highest = np.unravel_index(planes.argmax(), planes.shape)
        assert np.abs(np.array(highest) - studies.SPOT).max() <= 1, channel


def test_series_of_one_grid_are_not_resampled_and_may_lie_under_keys_of_their_own(make_pair, tmp_path):
    channels = [{**channel, "key": key} for channel, key in zip(PAIR, ("flair", "t2"), strict=True)]
    bundle = make_pair(preprocessing=BY_KEY, channels=channels)
    files = [
        path
        for seed, name in enumerate(("FLAIR", "T2"))
        for path in series(tmp_path / "study", anatomy((8, 44, 36), seed), name, SeriesDescription=name)
    ]
    (image,) = select_stacks(files, bundle).reading.images
    tensor = prepare(bundle, image).tensor[0].numpy()
    assert np.array_equal(tensor[0], image.values.transpose(2, 1, 0))
    theirs = image.further[0].values.transpose(2, 1, 0)
    assert np.allclose(tensor[1], (theirs - theirs.min()) / np.ptp(theirs), atol=1e-6)


def test_neighbours_want_their_planes_without_gaps(tmp_path):
    kind = TYPES["neighbouring_planes"]
    configuration, network = marking(kind)
    bundle = write(tmp_path / "near", kind, [network], configuration, layer="1")
    files = studies.mr(tmp_path / "study").files
    selection = select_stacks([*files[:3], *files[4:]], bundle)
    assert not selection.reading.images
    assert "1 of 8 planes are missing" in selection.declined[0].reason


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"channels": 3, "neighbours": 2}, "neighbours = 2 needs channels = 5"),
        ({"channels": 3, "neighbours": 1, "colour": True}, "exclude each other"),
        ({"channels": 4, "colour": "grey as RGB"}, "colour needs channels = 3"),
        ({"channels": 3, "neighbours": 1, "statistics": "series"}, "statistics = 'series'"),
        ({"channels": [FOUR[0], FOUR[0]]}, "different names"),
        ({"channels": [{**FOUR[0], "key": "a"}, FOUR[1]]}, "different keys or none"),
        ({"channels": [FOUR[0]]}, "at least 2"),
    ],
)
def test_channels_that_contradict_each_other_are_refused(entry, reason):
    with pytest.raises(BundleRefused, match=reason):
        parse_manifest(manifest(entry))


@pytest.mark.parametrize("activation", ["regression", "linear", "none"])
def test_a_regression_is_refused_by_name(activation):
    with pytest.raises(BundleRefused, match="a regression gives a number, not the probability of a finding"):
        parse_manifest(manifest({}, activation))


def manifest(entry, activation="softmax"):
    classes = [{"name": "none", "finding": False}, {"name": "lesion", "finding": True}]
    tree = {
        "name": "channels", "kind": "slices", "activation": activation, **MANIFEST,
        "input": {"modality": ["MR"], "spatial_size": [8, 8], **entry}, "classes": classes,
        "primary": {"file": "models/model.pt"},
    }  # fmt: skip
    return "\n".join(toml(tree)).encode()


def test_an_input_of_several_series_is_kept_between_the_steps_of_a_job(bundle, tmp_path):
    images = select_stacks(studies.mr_sequences(tmp_path / "study").files, bundle).reading.images
    archive.save(images, tmp_path / "job", "images")
    (again,) = archive.load(tuple[Image, ...], tmp_path / "job", "images")
    assert torch.equal(prepare(bundle, again).tensor, prepare(bundle, images[0]).tensor)
    assert again.digest == images[0].digest
    assert again.digest not in {stack.digest for stack in again.further}
