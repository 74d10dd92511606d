"""Real files for the inference tests: small DICOM series, and sealed bundles of tiny random networks."""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.networks import nets
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from safetensors.torch import save_file
from scipy.ndimage import gaussian_filter

from inference.bundle import bundle as reading_bundles
from inference.bundle.bundle import Bundle, load_bundle
from inference.porting.seal import seal
from inference.reading import series as reading_series
from tests.inference.conditions import NOISE, THREADS, disturbed, disturbed_array

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@pytest.fixture(autouse=True)
def few_threads():
    """Set them again: a training sets its own."""
    torch.set_num_threads(THREADS)


@pytest.fixture(autouse=True, scope="session")
def noise():
    """Where noise is asked for, disturb the weights and null images read from every bundle, and every series read."""
    if not NOISE:
        yield
        return
    read_weights, modality_values = reading_bundles.read_weights, reading_series.modality_values

    def disturbed_weights(content, where):
        return {name: disturbed(tensor) for name, tensor in read_weights(content, where).items()}

    def disturbed_values(stored, header):
        return disturbed_array(modality_values(stored, header))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading_bundles, "read_weights", disturbed_weights)
        patch.setattr(reading_series, "modality_values", disturbed_values)
        yield


def _uid(*parts: object) -> str:
    return "2.25." + str(int(hashlib.sha256(repr(parts).encode()).hexdigest()[:24], 16))


def write_plane(path: Path, stored: np.ndarray, **attributes: Any) -> Path:
    """Write one single-frame MR image of unsigned 16-bit values; attributes override or add."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    d = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    d.SOPClassUID = MRImageStorage
    d.SOPInstanceUID = _uid("sop", path.name)
    d.StudyInstanceUID, d.SeriesInstanceUID = "2.25.1", "2.25.2"
    d.PatientID, d.Modality, d.BodyPartExamined = "PHANTOM-1", "MR", "BRAIN"
    d.SeriesDescription, d.ProtocolName = "FLAIR axial", "PHANTOM BRAIN"
    d.InstanceNumber = 1
    d.ImageOrientationPatient, d.ImagePositionPatient = list(AXIAL), [0, 0, 0]
    d.PixelSpacing = [1, 1]
    d.SamplesPerPixel, d.PhotometricInterpretation = 1, "MONOCHROME2"
    d.Rows, d.Columns = stored.shape[-2:]
    d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 16, 16, 15, 0
    for keyword, value in attributes.items():
        setattr(d, keyword, value)
    meta.MediaStorageSOPInstanceUID = d.SOPInstanceUID
    d.PixelData = stored.astype(f"<{'i' if d.PixelRepresentation else 'u'}{d.BitsAllocated // 8}").tobytes()
    d.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture
def write_series(tmp_path: Path) -> Callable[..., list[Path]]:
    """Write stored values (planes, rows, columns) as single-frame files, 5 mm apart along the normal."""

    def write(stored: np.ndarray, orientation: Sequence[float] = AXIAL, **attributes: Any) -> list[Path]:
        folder = tmp_path / f"series{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        normal = np.cross(orientation[:3], orientation[3:])
        return [
            write_plane(
                folder / f"{index}.dcm",
                plane,
                InstanceNumber=index + 1,
                ImageOrientationPatient=list(orientation),
                ImagePositionPatient=[float(x) for x in normal * 5.0 * index],
                **attributes,
            )
            for index, plane in enumerate(stored)
        ]

    return write


MANIFEST = """
name = "{name}"
version = "0.0.1"
title = "A tiny random network"
kind = "{kind}"
activation = "softmax"
method = "gradcam"
intended_use = "tests"
not_for = "anything else"
licence = "Apache-2.0"
training_data = "none"

[input]
modality = ["MR"]
body_part = ["BRAIN", ""]
plane = ["axial"]
channels = {channels}
spatial_size = {size}
{reading}
minimum_frames = 2

[[classes]]
name = "none"
finding = false
[[classes]]
name = "lesion"
finding = true
threshold = {threshold}
code = {{ value = "52988006", scheme = "SCT", meaning = "Lesion" }}

[primary]
file = "models/model.safetensors"
{layer}
[[replicates]]
file = "models/replicate.safetensors"
[[alternates]]
file = "models/alternate.safetensors"
network = "alternate_def"
[null]
file = "null.safetensors"
description = "random images"
"""

TRANSFORMS = "monai.transforms."
NETS = "monai.networks.nets."


def write_bundle(
    folder: Path,
    *,
    kind: str = "slices",
    channels: int = 1,
    size: Sequence[int] = (32, 32),
    threshold: float = 0.05,
    network: dict[str, Any] | None = None,
    alternate: dict[str, Any] | None = None,
    preprocessing: Sequence[dict[str, Any]] | None = None,
    layer: str = "",
    reading: Mapping[str, str | float] | None = None,
) -> Path:
    """Write an unsealed bundle of random networks; ``reading``: keys of [input] that differ from their defaults."""
    dims = len(size)
    network = network or {
        "_target_": NETS + "ResNet", "block": "basic", "layers": [1, 1, 1, 1], "block_inplanes": [4, 8, 8, 16],
        "spatial_dims": dims, "n_input_channels": channels, "num_classes": 2, "conv1_t_size": 3,
    }  # fmt: skip
    alternate = alternate or {
        "_target_": NETS + "DenseNet", "spatial_dims": dims, "in_channels": channels, "out_channels": 2,
        "init_features": 8, "growth_rate": 4, "block_config": [2, 2],
    }  # fmt: skip
    steps = preprocessing or [
        {"_target_": TRANSFORMS + "Resize", "spatial_size": list(size), "mode": "area"},
        {"_target_": TRANSFORMS + "ScaleIntensity"},
    ]
    inference = {
        "network_def": network,
        "alternate_def": alternate,
        "preprocessing": {"_target_": TRANSFORMS + "Compose", "transforms": list(steps)},
    }
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "configs" / "inference.json").write_text(json.dumps(inference))
    (folder / "configs" / "metadata.json").write_text(json.dumps({"version": "0.0.1"}))
    for name, definition, seed in (("model", network, 1), ("replicate", network, 2), ("alternate", alternate, 3)):
        torch.manual_seed(seed)
        arguments = {key: value for key, value in definition.items() if key != "_target_"}
        module = getattr(nets, definition["_target_"].rpartition(".")[2])(**arguments)
        weights = {
            key: value.half() if value.is_floating_point() else value for key, value in module.state_dict().items()
        }
        save_file(weights, folder / "models" / f"{name}.safetensors")
    images = torch.rand(4, channels, *size, generator=torch.Generator().manual_seed(4)).half()
    save_file({"images": images}, folder / "null.safetensors")
    manifest = MANIFEST.format(
        name=folder.name, kind=kind, channels=channels, size=list(size), threshold=threshold,
        layer=f'layer = "{layer}"' if layer else "",
        reading="\n".join(f"{key} = {json.dumps(value)}" for key, value in (reading or {}).items()),
    )  # fmt: skip
    (folder / "heatproof.toml").write_text(manifest)
    return folder


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of all defaults, written once; tests work on copies."""
    return write_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


def copy_bundle(source: Path, folder: Path) -> Path:
    """Copy a bundle under another name."""
    shutil.copytree(source, folder)
    manifest = folder / "heatproof.toml"
    manifest.write_text(manifest.read_text().replace(f'name = "{source.name}"', f'name = "{folder.name}"'))
    return folder


@pytest.fixture
def make_bundle(tmp_path: Path, tiny_bundle: Path) -> Callable[..., Bundle]:
    """Make, seal and load a bundle; arguments as ``write_bundle``."""

    def make(name: str = "tiny", **options: Any) -> Bundle:
        folder = tmp_path / name
        if options:
            write_bundle(folder, **options)
        else:
            copy_bundle(tiny_bundle, folder)
        seal(folder)
        return load_bundle(folder)

    return make


@pytest.fixture
def bundle_folder(tmp_path: Path, tiny_bundle: Path) -> Path:
    """An unsealed tiny bundle to be tampered with."""
    return copy_bundle(tiny_bundle, tmp_path / "tampered")


@pytest.fixture
def head() -> np.ndarray:
    """Stored values of six planes of 48 x 40 pixels: blobs, and one bright spot at plane 2, row 30, column 12."""
    blobs = gaussian_filter(np.random.default_rng(0).normal(size=(6, 48, 40)), (0, 1.5, 1.5))
    stored = (200 * (blobs - blobs.min()) / np.ptp(blobs)).astype(np.uint16)
    stored[2, 28:33, 10:15] = 4000
    return stored
