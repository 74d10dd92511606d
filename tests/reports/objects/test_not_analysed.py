"""Not analysed is a result too: a report with the reason, for any study at all."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import Comprehensive3DSRStorage

from reports.objects.results import write_not_analysed

Series = Callable[..., list[Path]]
Errors = Callable[[Path], list[str]]

UNFIT = {
    "chest radiograph": ["RG1_UNCR.dcm"],
    "colour ultrasound": ["US1_UNCR.dcm"],
    "report only": ["test-SR.dcm"],
    "waveform": ["waveform_ecg.dcm"],
    "colour capture": ["SC_rgb_rle.dcm"],
    "cut pixel data": ["MR_truncated.dcm"],
}


@pytest.mark.parametrize("study", UNFIT)
def test_not_analysed_is_a_report_with_the_reason(
    study: str, errors: Errors, tmp_path: Path, created: datetime
) -> None:
    paths = [Path(str(get_testdata_file(name))) for name in UNFIT[study]]
    reason = "no bundle is meant for this kind of image."
    (result,) = write_not_analysed(paths, tmp_path / "out", reason=reason, created=created)
    assert result.role == "report"
    assert result.sop_class_uid == Comprehensive3DSRStorage
    written, source = dcmread(result.path), dcmread(paths[0], stop_before_pixels=True)
    assert written.StudyInstanceUID == source.StudyInstanceUID
    assert reason.encode() in result.path.read_bytes()
    assert b"NOT FOR DIAGNOSTIC USE" in result.path.read_bytes()
    named = written.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert [item.ReferencedSOPInstanceUID for item in named] == [source.SOPInstanceUID]
    assert errors(result.path) == []


def test_not_analysed_of_a_whole_study_names_every_instance_and_is_stable(
    series: Series, errors: Errors, tmp_path: Path, created: datetime
) -> None:
    paths = series(5)
    first = write_not_analysed(paths, tmp_path / "one", reason="No route.", created=created)
    second = write_not_analysed(paths[::-1], tmp_path / "two", reason="No route.", created=created)
    assert first[0].sop_instance_uid == second[0].sop_instance_uid
    assert errors(first[0].path) == []
    written = dcmread(first[0].path)
    named = written.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert len(named) == 5
