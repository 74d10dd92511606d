"""The manifest of a bundle of MONAI's zoo is proposed from its files; what they do not say is asked, all at once."""

import json
import warnings
from pathlib import Path

import pytest
import torch

from inference.bundle.configs import Config
from inference.bundle.manifest import parse_manifest
from inference.errors import BundleRefused, UnknownName
from inference.porting.proposal import propose
from inference.porting.questions import Question
from tests.inference.porting.zoo_like import CLASSIFIER, READING, write_zoo_like

UNET = {
    "_target_": "UNet", "spatial_dims": 2, "in_channels": 1, "out_channels": 3, "channels": [2, 4], "strides": [2],
}  # fmt: skip
RGB = {"modality": "regular", "num_channels": 3, "channel_def": {"0": "R", "1": "G", "2": "B"}}
IN_COLOUR = (
    {"_target_": "LoadImaged", "keys": "image"},
    {"_target_": "EnsureChannelFirstd", "keys": "image", "channel_dim": -1},
    {"_target_": "Resized", "keys": "image", "spatial_size": [48, 40]},
)


def test_a_manifest_is_written_from_what_the_files_say(tmp_path: Path) -> None:
    proposal = propose(write_zoo_like(tmp_path / "Head-Tumour"), {})
    manifest = proposal.manifest
    assert (manifest.name, manifest.version, manifest.title) == ("head_tumour", "0.3.1", "Tumour of the head")
    assert (manifest.kind, manifest.activation, manifest.method) == ("slices", "softmax", "gradcam")
    assert (manifest.licence, manifest.training_data, manifest.intended_use) == ("Apache-2.0", "made up", "An example.")
    entry = manifest.input
    assert (entry.modality, entry.channel_count, entry.spatial_size) == (("MR",), 1, (48, 40))
    assert [(entry.name, entry.finding) for entry in manifest.classes] == [("normal", False), ("tumour", True)]
    assert manifest.primary.file == "models/model.pt"
    assert manifest.primary.layer == "class_layers.relu"
    assert proposal.notes == ()
    assert parse_manifest(proposal.text.encode()) == manifest


def test_the_size_is_what_the_preprocessing_gives_and_the_contradiction_is_said(tmp_path: Path) -> None:
    folder = write_zoo_like(tmp_path / "a", image={"spatial_shape": [229, 229], "num_channels": 4})
    proposal = propose(folder, {})
    assert proposal.manifest.input.spatial_size == (48, 40)
    assert proposal.notes == (
        "configs/metadata.json: num_channels of the input is 4; network_def takes 1.",
        "configs/metadata.json: spatial_shape is (229, 229); the preprocessing gives (48, 40).",
    )


def test_without_a_size_in_the_preprocessing_the_metadata_say_it(tmp_path: Path) -> None:
    folder = write_zoo_like(tmp_path / "a", transforms=READING, image={"spatial_shape": [64, 56]})
    proposal = propose(folder, {})
    assert proposal.manifest.input.spatial_size == (64, 56)
    assert "images of another size are not taken" in proposal.text


def test_what_no_file_says_is_asked_and_open_questions_are_said_all_at_once(tmp_path: Path) -> None:
    nothing = {"name": "", "description": "", "postprocessing": None, "image": {"modality": "none"}}
    folder = write_zoo_like(tmp_path / "a", **nothing)
    (folder / "models" / "model.pt").rename(folder / "models" / "fold.pt")
    (folder / "models" / "other.pt").write_bytes(b"")
    with pytest.raises(BundleRefused) as refused:
        propose(folder, {})
    for line in ("--set modality=...: Modality (0008,0060)", "--set weights=...: Weights of the network (models/fold"):
        assert line in str(refused.value)
    asked: list[str] = []

    def ask(question: Question) -> str:
        asked.append(question.key)
        return {"modality": "CT", "weights": "models/fold.pt", "activation": "sigmoid"}.get(question.key, "")

    manifest = propose(folder, {}, ask).manifest
    assert {"modality", "weights", "activation", "findings"} <= set(asked)
    assert (manifest.input.modality, manifest.activation, manifest.primary.file) == (
        ("CT",),
        "sigmoid",
        "models/fold.pt",
    )
    given = {"modality": "CR", "weights": "models/fold.pt", "findings": "normal"}
    assert propose(folder, given).manifest.kind == "projection"
    assert [entry.finding for entry in propose(folder, given).manifest.classes] == [True, False]


@pytest.mark.parametrize(
    ("given", "error", "reason"),
    [
        ({"modalty": "CT"}, UnknownName, "no question 'modalty'"),
        ({"modality": "XX"}, BundleRefused, "modality = 'XX' is not one of CT"),
        ({"findings": "cyst"}, BundleRefused, "cyst are no classes; there are: normal, tumour"),
    ],
)
def test_an_answer_that_cannot_be_is_refused(tmp_path: Path, given: dict[str, str], error: type, reason: str) -> None:
    with pytest.raises(error, match=reason):
        propose(write_zoo_like(tmp_path / "a"), given)


def test_a_picture_in_colour_is_told_from_a_grey_image_in_three_channels(tmp_path: Path) -> None:
    network = {**CLASSIFIER, "in_channels": 3}
    pictures = write_zoo_like(
        tmp_path / "a", network=network, transforms=IN_COLOUR, image=RGB, name="Endoscopy of the bowel"
    )
    manifest = propose(pictures, {}).manifest
    assert (manifest.input.modality, manifest.kind, manifest.input.colour) == (("ES",), "projection", True)
    grey = write_zoo_like(tmp_path / "b", network=network, transforms=IN_COLOUR, image={**RGB, "modality": "Mammogram"})
    assert propose(grey, {}).manifest.input.colour == "grey as RGB"


def test_the_series_that_are_channels_are_proposed_by_their_names(tmp_path: Path) -> None:
    names = {"0": "T1c", "1": "T1", "2": "T2", "3": "FLAIR"}
    folder = write_zoo_like(
        tmp_path / "a",
        network={**CLASSIFIER, "in_channels": 4},
        transforms=(READING[0], {"_target_": "Resized", "keys": "image", "spatial_size": [48, 40]}),
        image={"num_channels": 4, "channel_def": names},
    )
    series = propose(folder, {}).manifest.input.series
    assert [channel.name for channel in series] == ["T1c", "T1", "T2", "FLAIR"]
    assert "T1 post" in series[0].description_contains
    assert "T1 post" not in series[1].description_contains
    assert {"post", "contrast"} <= set(series[1].description_lacks)
    assert series[3].description_contains == ("FLAIR",)


def test_neighbouring_planes_are_proposed_where_no_channel_has_a_name(tmp_path: Path) -> None:
    folder = write_zoo_like(
        tmp_path / "a",
        network={**CLASSIFIER, "in_channels": 5},
        transforms=(READING[0], {"_target_": "Resized", "keys": "image", "spatial_size": [48, 40]}),
        image={"num_channels": 5},
    )
    assert propose(folder, {}).manifest.input.neighbours == 2


def test_a_mask_is_told_to_be_a_localiser_with_the_table_to_write(tmp_path: Path) -> None:
    folder = write_zoo_like(tmp_path / "a", network=UNET, names=("background", "spleen", "liver"))
    with pytest.raises(BundleRefused, match=r"gives a mask of its input \(3 channels\).*softmax.*channels = \[1, 2\]"):
        propose(folder, {})


def test_missing_weights_are_said_with_the_place_where_monai_keeps_them(tmp_path: Path) -> None:
    folder = write_zoo_like(tmp_path / "a")
    (folder / "models" / "model.pt").unlink()
    (folder / "large_files.yml").write_text("large_files:\n- path: models/model.pt\n  url: https://host/model_v1.pt\n")
    with pytest.raises(
        BundleRefused,
        match=r"models/ holds no weights\. The zoo.s list of large files says where they are: .*host/model_v1\.pt",
    ):
        propose(folder, {})


def test_a_manifest_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    folder = write_zoo_like(tmp_path / "a")
    (folder / "heatproof.toml").write_text("")
    with pytest.raises(BundleRefused, match=r"has a manifest: heatproof\.toml"):
        propose(folder, {})


def test_every_reason_why_a_configuration_cannot_be_used_is_given(tmp_path: Path) -> None:
    transforms = ({"_target_": "scripts.mine.Load"}, {"_target_": "RandFlipd", "keys": "image"})
    folder = write_zoo_like(tmp_path / "a", transforms=transforms)
    with pytest.raises(BundleRefused, match=r"2 reasons:(.|\n)*scripts\.mine\.Load(.|\n)*draws at random"):
        propose(folder, {})


@pytest.mark.slow
def test_a_torchscript_program_is_taken_in_the_place_of_a_network_that_is_code(tmp_path: Path) -> None:
    folder = write_zoo_like(tmp_path / "a")
    scripted = Config((folder / "configs" / "inference.json").read_bytes(), "a.json").network("network_def").eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(scripted), folder / "models" / "model.ts")
    path = folder / "configs" / "inference.json"
    tree = json.loads(path.read_text()) | {"network_def": {"_target_": "scripts.mine.Network"}}
    path.write_text(json.dumps(tree))
    with pytest.raises(BundleRefused, match=r"scripts\.mine\.Network.*--set weights=models/model\.ts takes that"):
        propose(folder, {})
    manifest = propose(folder, {"weights": "models/model.ts"}).manifest
    assert (manifest.primary.file, manifest.primary.layer) == ("models/model.ts", "class_layers.relu")
    assert len(manifest.classes) == 2


def test_a_reader_that_puts_channels_first_gives_a_volume_one_channel(tmp_path: Path) -> None:
    transforms = (
        {"_target_": "LoadImaged", "keys": "image", "ensure_channel_first": True},
        {"_target_": "ResizeWithPadOrCropd", "keys": "image", "spatial_size": [48, 40, 32]},
    )
    folder = write_zoo_like(tmp_path / "a", network=CLASSIFIER | {"spatial_dims": 3}, transforms=transforms)
    proposal = propose(folder, {"kind": "volume"})
    assert proposal.manifest.input.spatial_size == (48, 40, 32)
    assert not any("channels" in note for note in proposal.notes)


@pytest.mark.parametrize("given", [{}, {"findings": "mass, suspicious"}, {"findings": "cyst,mass, suspicious"}])
def test_a_class_name_may_have_a_comma(tmp_path: Path, given: dict[str, str]) -> None:
    names = ("normal", "mass, suspicious", "cyst")
    manifest = propose(write_zoo_like(tmp_path / "a", names=names), given).manifest
    found = {entry.name for entry in manifest.classes if entry.finding}
    assert found == ({"mass, suspicious"} if given.get("findings", "").startswith("mass") else set(names[1:]))
