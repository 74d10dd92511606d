"""Odd things together: every combination reads as the bytes say, or is set apart by name, and the counts add up.

HEATPROOF_ODD_COMBINATIONS says how many are tried; every draw is seeded. `make combinations` tries 5,000;
its output is committed in tests/benchmarks/combinations.txt.
"""

import copy
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, event, given, seed, settings
from hypothesis import strategies as st
from pydicom import Dataset, config, dcmread, dcmwrite
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RawDataStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from inference.reading.account import Disposition
from inference.reading.study import read_study
from tests.inference.conftest import write_plane
from tests.inference.reading.files import code, enhanced

COMBINATIONS = int(os.environ.get("HEATPROOF_ODD_COMBINATIONS", "200"))
PLANES, ROWS, COLUMNS = 5, 64, 48
COMPRESSED = (RLELossless, JPEG2000Lossless, JPEGLSLossless)
SYNTAXES = (
    ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, *COMPRESSED,
)  # fmt: skip


@dataclass
class Sent:
    """A series on its way, and what is expected of it."""

    datasets: list[Dataset]
    values: np.ndarray
    """(planes, rows, columns), by position."""
    lost: set[int] = field(default_factory=set)
    """Planes that cannot be read."""
    others: list[Dataset] = field(default_factory=list)
    """Objects that are no images of the series."""


def put(dataset: Dataset, tag: int, vr: str, value: bytes) -> None:
    padded = value + b" " * (len(value) % 2)
    dataset._dict[Tag(tag)] = RawDataElement(Tag(tag), vr, len(padded), padded, 0, False, True)


def stored(dataset: Dataset) -> np.ndarray:
    return np.frombuffer(dataset.PixelData, "<u2").reshape(ROWS, COLUMNS)


def window(sent: Sent, draw: np.random.Generator) -> None:
    for dataset in sent.datasets:
        dataset.WindowCenter, dataset.WindowWidth = float(draw.integers(-4000, 4000)), float(draw.integers(1, 4000))


def instance_number(sent: Sent, draw: np.random.Generator) -> None:
    for dataset in sent.datasets:
        put(dataset, 0x00200013, "IS", [b"IM1", b"", b"7", b"7.5"][draw.integers(4)])


def rescale(sent: Sent, draw: np.random.Generator) -> None:
    for index, dataset in enumerate(sent.datasets):
        slope, intercept = int(draw.integers(1, 9)), int(draw.integers(-2000, 2000))
        dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
        sent.values[index] = sent.values[index] * slope + intercept


def overlay(sent: Sent, draw: np.random.Generator) -> None:
    for dataset in sent.datasets:
        bits = (draw.integers(0, 16, (ROWS, COLUMNS)) << 12).astype("<u2")
        dataset.PixelData = (stored(dataset) & 0x0FFF | bits).astype("<u2").tobytes()


def high_bit(sent: Sent, _draw: np.random.Generator) -> None:
    for dataset in sent.datasets:
        dataset.PixelData = ((stored(dataset) & 0x0FFF) << 4).astype("<u2").tobytes()
        dataset.HighBit = 15


def tilt(sent: Sent, _draw: np.random.Generator) -> None:
    for index, dataset in enumerate(sent.datasets):
        dataset.ImagePositionPatient = [0, 2.0 * index, 5.0 * index]


def region(sent: Sent, _draw: np.random.Generator) -> None:
    for dataset in sent.datasets:
        dataset.AnatomicRegionSequence = [code("72696002", "SCT", "Knee")]


def bad_slope(sent: Sent, draw: np.random.Generator) -> None:
    place = int(draw.integers(PLANES))
    put(sent.datasets[place], 0x00281053, "DS", [b"NaN", b"1,0", b"inf", b"1\\1"][draw.integers(4)])
    sent.lost.add(place)


def bad_position(sent: Sent, draw: np.random.Generator) -> None:
    place = int(draw.integers(PLANES))
    put(sent.datasets[place], 0x00200032, "DS", b"0\\0\\x")
    sent.lost.add(place)


def raw_data(sent: Sent, _draw: np.random.Generator) -> None:
    other = copy.deepcopy(sent.datasets[0])
    other.SOPClassUID, other.SOPInstanceUID = RawDataStorage, generate_uid(entropy_srcs=["raw", other.SOPInstanceUID])
    del other.PixelData, other.Rows, other.Columns
    sent.others.append(other)


def screen_save(sent: Sent, _draw: np.random.Generator) -> None:
    other = copy.deepcopy(sent.datasets[0])
    other.SOPClassUID = SecondaryCaptureImageStorage
    other.SOPInstanceUID = generate_uid(entropy_srcs=["screen", other.SOPInstanceUID])
    other.SamplesPerPixel, other.PhotometricInterpretation, other.PlanarConfiguration = 3, "RGB", 0
    other.BitsAllocated = other.BitsStored = 8
    other.HighBit, other.PixelData = 7, bytes(ROWS * COLUMNS * 3)
    sent.others.append(other)


ODDITIES: tuple[Callable[[Sent, np.random.Generator], None], ...] = (
    window, instance_number, rescale, overlay, high_bit, tilt, region, bad_slope, bad_position, raw_data, screen_save,
)  # fmt: skip
EITHER = ({overlay, high_bit}, {rescale, bad_slope}, {bad_slope, bad_position}, {tilt, bad_position})
"""Those that would undo each other, or take the same plane."""


def series(folder: Path, number: int, draw: np.random.Generator) -> Sent:
    values = draw.integers(0, 4096, (PLANES, ROWS, COLUMNS)).astype("<u2")
    datasets = []
    for index, plane in enumerate(values):
        path = write_plane(
            folder / f"source-{number}-{index}.dcm", plane, BitsStored=12, HighBit=11, InstanceNumber=index + 1,
            ImagePositionPatient=[0, 0, 5.0 * index], SeriesInstanceUID=f"2.25.{number + 10}",
        )  # fmt: skip
        datasets.append(dcmread(path))
        path.unlink()
    return Sent(datasets, values.astype(np.float32))


def write(dataset: Dataset, path: Path, syntax: str) -> Path:
    """Write a data set in this transfer syntax; what compresses codes all sixteen bits."""
    fresh = copy.deepcopy(dataset)
    fresh.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    fresh.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    fresh.file_meta.TransferSyntaxUID = syntax
    if syntax in COMPRESSED and "PixelData" in fresh:
        fresh.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        stored_bits, high = fresh.BitsStored, fresh.HighBit
        fresh.BitsStored, fresh.HighBit = fresh.BitsAllocated, fresh.BitsAllocated - 1
        fresh.compress(syntax, generate_instance_uid=False)
        fresh.BitsStored, fresh.HighBit = stored_bits, high
    elif syntax in COMPRESSED:
        fresh.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    elif syntax == ExplicitVRBigEndian and "PixelData" in fresh and fresh.BitsAllocated == 16:
        fresh.PixelData = np.frombuffer(fresh.PixelData, "<u2").astype(">u2").tobytes()
    used = fresh.file_meta.TransferSyntaxUID
    dcmwrite(path, fresh, implicit_vr=used.is_implicit_VR, little_endian=used.is_little_endian,
             enforce_file_format=True)  # fmt: skip
    return path


@pytest.fixture(autouse=True)
def any_value():
    """Let pydicom write what it would not accept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config.settings, "writing_validation_mode", config.IGNORE)
        yield


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
@seed(20261128)
@settings(
    max_examples=COMBINATIONS, deadline=None, database=None, suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)  # fmt: skip
@given(
    chosen=st.sets(st.sampled_from(ODDITIES), max_size=4),
    syntax=st.sampled_from(SYNTAXES),
    second=st.booleans(),
    as_enhanced=st.booleans(),
    number=st.integers(0, 1 << 30),
)
def test_odd_things_together_are_read_right_or_set_apart_by_name(
    tmp_path_factory: pytest.TempPathFactory,
    chosen: set[Callable[[Sent, np.random.Generator], None]],
    syntax: str,
    second: bool,
    as_enhanced: bool,
    number: int,
) -> None:
    for pair in EITHER:
        if pair <= chosen:
            chosen = chosen - {max(pair, key=lambda change: change.__name__)}
    draw, folder = np.random.default_rng(number), tmp_path_factory.mktemp("odd")
    event(f"in {UID(syntax).name}")
    for change in chosen:
        event(f"with {change.__name__.replace('_', ' ')}")
    sent = series(folder, 0, draw)
    as_enhanced = as_enhanced and chosen <= {window, overlay, high_bit, region}
    for change in sorted(chosen, key=lambda change: change.__name__):
        change(sent, draw)
    paths = [write(ds, folder / f"{index}.dcm", syntax) for index, ds in enumerate([*sent.datasets, *sent.others])]
    event("enhanced" if as_enhanced else "single images")
    event("beside a second series" if second else "alone")
    if as_enhanced:
        native = [write(ds, folder / f"n{index}.dcm", ExplicitVRLittleEndian) for index, ds in enumerate(sent.datasets)]
        whole = dcmread(enhanced(native))
        paths = [write(whole, folder / "whole.dcm", syntax)]
    expected = {"2.25.10": sent}
    if second:
        expected["2.25.11"] = fine = series(folder, 1, draw)
        paths += [write(ds, folder / f"second{index}.dcm", syntax) for index, ds in enumerate(fine.datasets)]
    found = read_study([paths[index] for index in draw.permutation(len(paths))])
    assert {image.series_instance_uid for image in found.images} == set(expected)
    for image in found.images:
        series_sent = expected[image.series_instance_uid]
        kept = [index for index in range(PLANES) if index not in series_sent.lost]
        assert np.array_equal(image.values, series_sent.values[kept])
        assert bool(image.missing) == bool(series_sent.lost)
        depths = [frame.position_mm[2] for frame in image.frames if frame.position_mm]
        assert all(first < later for first, later in pairwise(depths))
    assert found.read + found.set_apart + found.not_meant == len(paths)
    assert found.set_apart == (0 if as_enhanced else len(sent.lost) + len(sent.others))
    assert all(entry.reason for entry in found.instances if entry.disposition is not Disposition.READ)
