"""Patient and study reach the result byte for byte, whatever they are written in."""

import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydicom import dcmread, dcmwrite
from pydicom.data import get_charset_files, get_testdata_file
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from inference.errors import UnreadableInstance
from reports.explained import orientation, read_header
from reports.objects.header.subject import local_time, take_over

CHARSETS = sorted(path for path in get_charset_files("chr*.dcm") if "SQ" not in path)


def carried(source: Dataset, path: Path) -> Dataset:
    """Write a result that took the source's patient over, and read it back."""
    result = Dataset()
    result.file_meta = FileMetaDataset()
    result.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    result.SOPClassUID, result.SOPInstanceUID = SecondaryCaptureImageStorage, "1.2.3"
    take_over(source, result)
    dcmwrite(path, result, enforce_file_format=True)
    return dcmread(path)


def raw(dataset: Dataset, keyword: str) -> bytes:
    element = dataset.get_item(keyword)
    assert isinstance(element, RawDataElement)
    return bytes(element.value or b"")


@pytest.mark.parametrize("file", CHARSETS, ids=lambda path: Path(path).stem)
def test_names_of_every_character_set_survive(file: str, tmp_path: Path) -> None:
    source = read_header(Path(file))
    result = carried(source, tmp_path / "result.dcm")
    assert raw(result, "PatientName") == raw(dcmread(file), "PatientName")
    assert result.PatientName == dcmread(file).PatientName
    assert result.get("SpecificCharacterSet") == dcmread(file).get("SpecificCharacterSet")


@pytest.mark.parametrize("declared", [b"ISO_IR 192", b"ISO_IR 6  ", b"ISO_IR 13 "])
def test_bytes_outside_the_declared_character_set_survive(
    series: Callable[..., list[Path]], tmp_path: Path, declared: bytes
) -> None:
    path = series(1)[0]
    path.write_bytes(path.read_bytes().replace("Müller".encode(), b"M\xfcller ").replace(b"ISO_IR 192", declared))
    result = carried(read_header(path), tmp_path / "result.dcm")
    assert raw(result, "PatientName").startswith(b"M\xfcller")
    assert raw(result, "PatientName") == raw(dcmread(path), "PatientName")


@pytest.mark.parametrize("file", ["MR_small_implicit.dcm", "MR_small_bigendian.dcm", "ExplVR_BigEnd.dcm"])
def test_every_transfer_syntax_of_the_source_gives_the_same_patient(file: str, tmp_path: Path) -> None:
    source = read_header(Path(str(get_testdata_file(file))))
    result = carried(source, tmp_path / "result.dcm")
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "StudyDate", "AccessionNumber"):
        assert (result.get(keyword) or "") == (source.get(keyword) or "")


def test_what_the_source_lacks_is_empty_and_its_comments_stay_behind(tmp_path: Path) -> None:
    source = Dataset()
    source.StudyInstanceUID, source.PatientComments = "1.2", "seen by Dr. X"
    result = carried(source, tmp_path / "result.dcm")
    assert result["PatientID"].is_empty
    assert result["StudyDate"].is_empty
    assert "PatientComments" not in result


def test_a_name_of_one_part_is_not_spelt_out_in_a_warning(tmp_path: Path) -> None:
    source = Dataset()
    source.StudyInstanceUID, source.PatientName = "1.2", "Bono"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert carried(source, tmp_path / "result.dcm").PatientName == "Bono"


def test_times_follow_the_clock_of_the_source() -> None:
    created = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)
    source = Dataset()
    source.TimezoneOffsetFromUTC = "-0330"
    assert local_time(source, created).strftime("%Y-%m-%d %H:%M %z") == "2026-11-22 20:00 -0330"
    source.TimezoneOffsetFromUTC = "+0100"
    assert local_time(source, created).strftime("%Y-%m-%d %H:%M %z") == "2026-11-23 00:30 +0100"


@pytest.mark.parametrize("offset", [None, "", "nonsense"])
def test_without_an_offset_times_are_the_nodes_own(offset: str | None) -> None:
    created = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)
    source = Dataset()
    if offset is not None:
        source.add_new("TimezoneOffsetFromUTC", "LO", offset)
    moment = local_time(source, created)
    assert moment == created
    assert moment.utcoffset() == created.astimezone().utcoffset()
    assert created - moment < timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("cosines", "letters"),
    [
        ((1, 0, 0, 0, 1, 0), ("L", "P")),
        ((0, 1, 0, 0, 0, -1), ("P", "F")),
        ((-1, 0, 0, 0, 0, 1), ("R", "H")),
        ((0.8, 0.6, 0, 0, 0, -1), ("LP", "F")),
        ((0.999, 0.01, 0.02, -0.01, 0.98, 0.2), ("L", "P")),
    ],
)
def test_edges_are_named_by_the_direction_cosines(cosines: tuple[float, ...], letters: tuple[str, str]) -> None:
    assert orientation(cosines, Dataset()) == letters


@pytest.mark.parametrize(
    ("written", "letters"), [(["L", "F"], ("L", "F")), (["L"], None), (["", ""], None), (None, None)]
)
def test_edges_of_a_radiograph_are_named_by_patient_orientation(
    written: list[str] | None, letters: tuple[str, str] | None
) -> None:
    source = Dataset()
    source.PatientOrientation = written
    assert orientation(None, source) == letters


def test_a_source_that_is_gone_or_not_dicom_is_refused_without_its_path(tmp_path: Path) -> None:
    (tmp_path / "SECRET.txt").write_text("not DICOM")
    for path in (tmp_path / "SECRET.txt", tmp_path / "SECRET.gone"):
        with pytest.raises(UnreadableInstance) as caught:
            read_header(path)
        assert "SECRET" not in str(caught.value)
