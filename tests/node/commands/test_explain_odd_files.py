"""`heatproof explain` on a folder as a disc holds it: every file ends somewhere by name, none as a traceback."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import RawDataStorage
from rich.console import Console
from scipy.ndimage import gaussian_filter

from inference.errors import Refused, UnknownName, UnsupportedImage
from inference.porting.seal import seal
from node.commands.explain import explain_files, print_result
from tests.inference.conftest import write_bundle, write_plane

PIXELS = (
    "PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel",
    "PhotometricInterpretation",
)  # fmt: skip


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_bundle(tmp_path_factory.mktemp("bundles") / "tiny")
    seal(folder)
    return folder


def write_series(folder: Path, name: str, planes: np.ndarray, **attributes: Any) -> list[Path]:
    return [
        write_plane(
            folder / f"{name}_{index}.dcm",
            plane,
            SeriesInstanceUID=f"2.25.{len(name)}{ord(name[0])}",
            InstanceNumber=index + 1,
            ImagePositionPatient=[0, 0, 5 * index],
            **attributes,
        )
        for index, plane in enumerate(planes)
    ]


def blobs() -> np.ndarray:
    drawn = gaussian_filter(np.random.default_rng(0).normal(size=(6, 48, 40)), (0, 1.5, 1.5))
    planes = (900 * (drawn - drawn.min()) / np.ptp(drawn)).astype(np.uint16)
    planes[2, 28:33, 10:15] = 4000
    return planes


def raw_data(path: Path) -> None:
    dataset = dcmread(write_plane(path, blobs()[0], SeriesInstanceUID="2.25.9"))
    for keyword in PIXELS:
        delattr(dataset, keyword)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = RawDataStorage
    dataset.save_as(path)


def comma(path: Path) -> None:
    """Write a comma for the decimal point into Rescale Slope."""
    write_plane(path, blobs()[0], RescaleSlope="1.25", RescaleIntercept="0", SeriesInstanceUID="2.25.8")
    content = path.read_bytes()
    assert content.count(b"1.25") == 1
    path.write_bytes(content.replace(b"1.25", b"1,25"))


ODD = {
    "notes.txt": lambda path: path.write_text("see the report"),
    "empty.dcm": lambda path: path.write_bytes(b""),
    "cut.dcm": lambda path: path.write_bytes(write_plane(path, blobs()[0]).read_bytes()[:700]),
    "raw.dcm": raw_data,
    "comma.dcm": comma,
}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, bundle: Path) -> dict[str, Any]:
    """A good series, a flat one, one of a knee, and one of every odd file."""
    folder = tmp_path_factory.mktemp("disc")
    write_series(folder, "good", blobs())
    write_series(folder, "flatly", np.full((6, 48, 40), 700))
    write_series(folder, "knees", blobs(), BodyPartExamined="KNEE")
    for name, write in ODD.items():
        write(folder / name)
    return explained(folder, bundle, tmp_path_factory.mktemp("out"))


def explained(path: Path, bundle: Path, out: Path) -> dict[str, Any]:
    return explain_files(
        path, str(bundle), out, method=None, planes_explained=1, device="cpu", progress=lambda _step: None
    )


def test_the_good_series_is_explained_and_the_counts_add_up(result: dict[str, Any]) -> None:
    found, declined = result["series"]
    assert found["explanations"]
    assert "flat" in declined["not_analysed"]
    reading = result["reading"]
    assert (reading["read"], reading["set_apart"], reading["not_meant"]) == (6, 6 + len(ODD), 6)


def test_every_reason_is_named(result: dict[str, Any]) -> None:
    set_apart = " ".join(result["reading"]["set_apart_reasons"])
    for part in (
        "The file is not DICOM",
        "Raw Data Storage has no image pixels",
        "'1,25', which is not a number",
        "flat",
    ):
        assert part in set_apart
    assert "body part KNEE" in " ".join(result["reading"]["not_meant_reasons"])
    console = Console(file=StringIO(), width=200)
    print_result(result, console)
    assert "6 read, 11 set apart, 6 not meant for this bundle" in console.file.getvalue()  # type: ignore[attr-defined]
    json.dumps(result, allow_nan=False)


@pytest.mark.parametrize("width", [60, 80, 400])
def test_a_narrow_terminal_cuts_no_word_of_what_was_found(result: dict[str, Any], width: int) -> None:
    console = Console(file=StringIO(), width=width)
    print_result(result, console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    words = {word for line in said.splitlines() for word in line.strip("│┃ ").split()}
    headings = ["class", "plane", "probability", "method", "peak", "(row,", "column)", "verdict", "picture"]
    item = result["series"][0]["explanations"][0]
    assert words.issuperset([*headings, *item["label"].split(), item["method"], *item["verdict"].split()])
    assert item["picture"] in said
    assert ("┃" in said) == (width == 400)


@pytest.mark.parametrize("name", ODD)
def test_an_odd_file_alone_is_refused_in_a_sentence(name: str, bundle: Path, tmp_path: Path) -> None:
    ODD[name](tmp_path / name)
    with pytest.raises(UnsupportedImage, match="no readable image series"):
        explained(tmp_path / name, bundle, tmp_path / "out")


def test_where_nothing_is_found_the_class_that_came_nearest_is_named(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "strict", threshold=0.999)
    seal(bundle)
    series = tmp_path / "series"
    series.mkdir()
    write_series(series, "good", blobs())
    result = explained(series, bundle, tmp_path / "out")
    (stack,) = result["series"]
    assert not stack["explanations"]
    nearest = stack["nearest"]
    assert nearest["probability"] == max(
        row[stack["classes"].index(nearest["label"])] for row in stack["probabilities"]
    )
    console = Console(file=StringIO(), width=200)
    print_result(result, console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert f"Nearest to its threshold: {nearest['label']}, {nearest['probability']:.3f} of 0.999 on plane" in said


def test_results_that_cannot_be_written_and_unknown_methods_are_refused_before_anything_is_read(
    bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match="cannot be written to"):
        explained(tmp_path / "no study", bundle, tmp_path / "file")
    with pytest.raises(UnknownName):
        explain_files(
            tmp_path, str(bundle), tmp_path, method="nosuch", planes_explained=1, device="cpu", progress=lambda _: None
        )
