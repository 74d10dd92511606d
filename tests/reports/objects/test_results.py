"""What a job writes: valid, complete, the same bytes every time, and free of names where names do not belong."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_charset_files, get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from inference.analysis import Analysis
from inference.findings import Code
from inference.trust.verdict import Signal, Verdict
from reports.objects.equipment import described
from reports.objects.library import InstanceReference
from reports.objects.results import WRITERS, ResultObject, write_not_analysed, write_results
from reports.objects.roles import ROLES
from reports.objects.uids import ResultUids
from tests.reports import made_up

Series = Callable[..., list[Path]]
Analyse = Callable[..., Analysis]
Errors = Callable[[Path], list[str]]

SECRETS = ("Müller", "Mueller", "Jürgen", "SECRET", "4711", "19600102", "ACC1", "Ärztin")


def graft(name: str) -> Callable[[Dataset], None]:
    """Put the patient of one of pydicom's character set files on a slice."""
    patient = dcmread(get_charset_files(name)[0])

    def change(header: Dataset) -> None:
        header.SpecificCharacterSet = patient.SpecificCharacterSet
        header.PatientName = patient.PatientName
        header.StudyDescription, header.ReferringPhysicianName = "", ""

    return change


def bare(header: Dataset) -> None:
    """Take every attribute away that a source may lack."""
    for keyword in (
        "SpecificCharacterSet", "PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
        "AccessionNumber", "ReferringPhysicianName", "StudyDescription", "SeriesDescription", "BodyPartExamined",
        "InstanceNumber", "FrameOfReferenceUID", "ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing",
    ):  # fmt: skip
        delattr(header, keyword)


def lossy(header: Dataset) -> None:
    header.LossyImageCompression, header.LossyImageCompressionRatio = "01", [12.5]
    header.LossyImageCompressionMethod = "ISO_10918_1"


SOURCES: dict[str, Callable[[Series], list[Path]]] = {
    "MR series": lambda series: series(3),
    "Japanese name": lambda series: series(1, change=graft("chrH31.dcm")),
    "Arabic name": lambda series: series(1, change=graft("chrArab.dcm")),
    "hardly any attribute": lambda series: series(1, change=bare),
    "lossy compressed": lambda series: series(1, change=lossy),
    "paired body part": lambda series: series(1, change=lambda header: setattr(header, "BodyPartExamined", "KNEE")),
    "chest radiograph of MONOCHROME1": lambda _: [Path(str(get_testdata_file("RG1_UNCR.dcm")))],
    "enhanced multi-frame MR": lambda _: [Path(str(get_testdata_file("emri_small.dcm")))],
    "RLE compressed MR": lambda _: [Path(str(get_testdata_file("MR_small_RLE.dcm")))],
    "big-endian MR": lambda _: [Path(str(get_testdata_file("MR_small_bigendian.dcm")))],
}


QUICK = (
    "MR series",
    "Japanese name",
    "hardly any attribute",
    "chest radiograph of MONOCHROME1",
    "enhanced multi-frame MR",
)


@pytest.mark.parametrize(
    "source", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in SOURCES]
)
def test_capture_and_report_have_no_error(
    source: str, series: Series, analyse: Analyse, errors: Errors, tmp_path: Path, created: datetime
) -> None:
    paths = SOURCES[source](series)
    results = write_results(analyse(paths), tmp_path / "out", created=created)
    assert [result.role for result in results] == ["capture", "report"]
    for result in results:
        assert errors(result.path) == []
        written, original = dcmread(result.path), dcmread(paths[0], stop_before_pixels=True)
        assert written.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "StudyDate", "AccessionNumber"):
            assert (written.get(keyword) or "") == (original.get(keyword) or "")
        assert (written.StudyID or "") == (original.get("StudyID") or "")
        assert written.SeriesInstanceUID != original.SeriesInstanceUID
        assert written.SeriesNumber >= 9000


@pytest.mark.parametrize("verdict", [Verdict.TRUSTED, Verdict.WITHHELD, None])
def test_every_outcome_has_no_error(
    verdict: Verdict | None, series: Series, analyse: Analyse, errors: Errors, tmp_path: Path, created: datetime
) -> None:
    analysis = analyse(series(2), score=0.5, **({"verdict": verdict} if verdict else {"found": False}))
    results = write_results(analysis, tmp_path / "out", created=created)
    assert len(results) == (2 if verdict else 1)
    assert [errors(result.path) for result in results] == [[]] * len(results)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_with_all_its_signals_has_no_error(
    verdict: Verdict, series: Series, analyse: Analyse, errors: Errors, tmp_path: Path, created: datetime
) -> None:
    options = {"verdict": verdict, "score": made_up.SCORES.get(verdict), "reasons": made_up.REASONS[verdict]}
    options["statement"] = None if verdict is Verdict.UNCOMMISSIONED else made_up.CALIBRATED
    analysis = analyse(series(1), signals=made_up.signals(), localiser=np.ones((48, 40), np.float32), **options)
    results = write_results(analysis, tmp_path / "out", created=created, objects=("details",))
    assert [errors(result.path) for result in results] == [[], [], []]


def test_odd_numbers_and_foreign_words_have_no_error(
    series: Series, analyse: Analyse, errors: Errors, tmp_path: Path, created: datetime
) -> None:
    odd = (
        Signal("a", "nothing to measure — 測定不能", "A", float("nan"), None, None, 0, None, None),
        Signal("b" * 80, "a very long meaning " * 10, "B", 1e-12, 1.0, (1.0, 1.0), 1, float("-inf"), (-1e9, 0.0)),
        Signal("c", "back\\slash", "Z", -0.0, 0.3, None, 3, 1 / 3, None),
    )
    analysis = analyse(
        series(1), signals=odd, code=Code("X" * 20, "99TEST", "m" * 90), label="Gliom (größer als 3 cm)", reasons=("",)
    )
    for result in write_results(analysis, tmp_path / "out", created=created):
        assert errors(result.path) == []


def test_the_same_inputs_give_the_same_bytes(
    series: Series, analyse: Analyse, tmp_path: Path, created: datetime
) -> None:
    analysis = analyse(series(3))
    objects = ("details", "parametric_map", "presentation_state", "key_objects")
    first, second = (
        write_results(analysis, tmp_path / name, created=created, objects=objects) for name in ("one", "two")
    )
    assert {result.role for result in first} == {"capture", "report", *objects}
    for one, two in zip(first, second, strict=True):
        assert one.path.read_bytes() == two.path.read_bytes()
        assert one.path.name == two.path.name
        assert one.sha256 == two.sha256 == hashlib.sha256(one.path.read_bytes()).hexdigest()
        if one.preview_path and two.preview_path:
            assert one.preview_path.read_bytes() == two.preview_path.read_bytes()


def test_writing_again_leaves_nothing_new(series: Series, analyse: Analyse, tmp_path: Path, created: datetime) -> None:
    analysis = analyse(series(1))
    write_results(analysis, tmp_path / "out", created=created)
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    (tmp_path / "out" / "anything.dcm.part").write_bytes(b"left by a crash")
    write_results(analysis, tmp_path / "out", created=created)
    after = {path: path.read_bytes() for path in (tmp_path / "out").iterdir() if path.suffix != ".part"}
    assert after == before


def test_results_say_what_they_are_in_the_files_themselves(
    series: Series, analyse: Analyse, tmp_path: Path, created: datetime
) -> None:
    for result in write_results(analyse(series(1)), tmp_path / "out", created=created):
        written = dcmread(result.path)
        told = (written.SOPClassUID, written.SOPInstanceUID, written.SeriesInstanceUID)
        assert told == (result.sop_class_uid, result.sop_instance_uid, result.series_instance_uid)
        assert written.file_meta.ImplementationVersionName == "HEATPROOF_01"
        assert str(written.file_meta.ImplementationClassUID).startswith("2.25.")
        assert "NOT FOR DIAGNOSTIC USE" in written.SeriesDescription
        assert len(written.SeriesDescription) <= 64
        assert (written.ContentDate, written.InstanceCreationDate) == ("20261122", "20261122")


def test_no_patient_is_in_pictures_or_file_names(
    series: Series, analyse: Analyse, tmp_path: Path, created: datetime
) -> None:
    for result in write_results(analyse(series(1)), tmp_path / "out", created=created):
        assert not any(secret in result.path.name for secret in SECRETS)
        if result.preview_path:
            content = result.preview_path.read_bytes()
            assert not any(secret.encode() in content for secret in SECRETS)
            assert not any(secret in result.preview_path.name for secret in SECRETS)


def test_own_words_hold_no_patient(series: Series, analyse: Analyse, tmp_path: Path, created: datetime) -> None:
    """Everything but the attributes taken over from the source is free of it."""
    for result in write_results(analyse(series(1)), tmp_path / "out", created=created):
        written = dcmread(result.path)
        taken_over = ("PatientName", "PatientID", "PatientBirthDate", "AccessionNumber", "ReferringPhysicianName")
        for keyword in taken_over:
            delattr(written, keyword)
        buffer = BytesIO()
        written.save_as(buffer, enforce_file_format=True)
        assert not any(secret.encode() in buffer.getvalue() for secret in SECRETS)


def test_the_picture_in_the_capture_is_the_preview(
    series: Series, analyse: Analyse, tmp_path: Path, created: datetime
) -> None:
    from PIL import Image as Picture

    capture = write_results(analyse(series(1)), tmp_path / "out", created=created)[0]
    assert capture.preview_path
    with Picture.open(capture.preview_path) as picture:
        np.testing.assert_array_equal(dcmread(capture.path).pixel_array, np.asarray(picture))


def test_a_later_report_names_the_one_it_replaces(
    series: Series, analyse: Analyse, errors: Errors, tmp_path: Path, created: datetime
) -> None:
    early, late = analyse(series(1)), analyse(series(3))
    first = write_results(early, tmp_path / "out", created=created)[-1]
    before = InstanceReference(
        early.image.study_instance_uid, first.series_instance_uid, first.sop_class_uid, first.sop_instance_uid
    )
    capture, second = write_results(late, tmp_path / "out", created=created, predecessors=[before])
    assert second.sop_instance_uid != first.sop_instance_uid
    named = dcmread(second.path).PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert named.ReferencedSOPInstanceUID == first.sop_instance_uid
    (purpose,) = named.PurposeOfReferenceCodeSequence
    assert (purpose.CodeValue, purpose.CodingSchemeDesignator) == ("121360", "DCM")
    assert b"Replaces an earlier report of this study" in second.path.read_bytes()
    assert "Replaces an earlier result of this study" in dcmread(capture.path).DerivationDescription
    assert errors(second.path) == errors(capture.path) == []


def test_a_report_is_not_its_own_predecessor(
    series: Series, analyse: Analyse, tmp_path: Path, created: datetime
) -> None:
    analysis = analyse(series(1))
    first = write_results(analysis, tmp_path / "out", created=created)[-1]
    image = analysis.image
    itself = InstanceReference(
        image.study_instance_uid, first.series_instance_uid, first.sop_class_uid, first.sop_instance_uid
    )
    again = write_results(analysis, tmp_path / "out", created=created, predecessors=[itself])[-1]
    assert "PredecessorDocumentsSequence" not in dcmread(again.path)


def test_a_report_on_an_incomplete_study_says_what_is_missing_and_is_another_than_the_complete_one(
    series: Series, analyse: Analyse, errors: Errors, tmp_path: Path, created: datetime
) -> None:
    paths = series(1)
    whole = write_results(analyse(paths), tmp_path / "whole", created=created)
    part = write_results(analyse(paths), tmp_path / "part", created=created, missing="3 of 4 images")
    assert [one.sop_instance_uid == two.sop_instance_uid for one, two in zip(whole, part, strict=True)] == [True, False]
    assert b"incomplete when this report was made; missing: 3 of 4 images" in part[-1].path.read_bytes()
    assert errors(part[-1].path) == []
    nothing = write_not_analysed(paths, tmp_path / "no", reason="No route.", created=created, missing="3 of 4 images")
    assert b"incomplete when this report was made; missing: 3 of 4 images" in nothing[0].path.read_bytes()


def test_the_uids_are_those_the_uid_room_gives(
    series: Series, analyse: Analyse, tmp_path: Path, created: datetime
) -> None:
    analysis = analyse(series(1))
    uids = ResultUids.of_analysis(analysis)
    capture, details, report = write_results(analysis, tmp_path / "out", created=created, objects=("details",))
    assert details.sop_instance_uid == uids.instance("details", 0)
    assert capture == ResultObject(
        "capture", SecondaryCaptureImageStorage, uids.instance("capture", 0), uids.series("capture"), capture.path,
        capture.preview_path, capture.sha256,
    )  # fmt: skip
    assert report.sop_instance_uid == uids.instance("report")


def test_every_role_has_a_writer_that_makes_its_sop_class(
    series: Series, analyse: Analyse, tmp_path: Path, created: datetime
) -> None:
    assert set(WRITERS) == set(ROLES)
    results = write_results(analyse(series(1)), tmp_path / "out", created=created, objects=ROLES)
    with_finding = {role: uid for role, uid in ROLES.items() if role != "negative_capture"}
    assert {result.role: result.sop_class_uid for result in results} == with_finding


def test_slices_are_in_order_and_each_overlay_is_followed_by_its_details(
    series: Series, analyse: Analyse, tmp_path: Path, created: datetime
) -> None:
    paths = series(3)
    parts = [analyse(paths, frame=frame, verdict=Verdict.CAUTION) for frame in (2, 0)]
    analysis = replace(parts[0], explanations=(*parts[0].explanations, *parts[1].explanations))
    results = write_results(analysis, tmp_path / "out", created=created, objects=("details",))
    written = [dcmread(result.path) for result in results]
    captures = sorted((one for one in written if one.Modality == "OT"), key=lambda one: one.InstanceNumber)
    assert [one.InstanceNumber for one in captures] == [1, 2, 3, 4]
    assert [one.ImageType[3] for one in captures] == ["SALIENCY", "DETAILS"] * 2
    assert len({one.SeriesInstanceUID for one in captures}) == 1
    sources = [one.SourceImageSequence[0].ReferencedSOPInstanceUID[-1] for one in captures]
    assert sources == ["1", "1", "3", "3"], "the lower slice first, whatever was explained first"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"verdict": Verdict.CAUTION}, ["overlay", "report"]),
        ({"verdict": Verdict.OUT_OF_ENVELOPE}, ["overlay", "report"]),
        ({"found": False}, ["picture", "report"]),
    ],
)
def test_a_series_is_named_by_finding_and_verdict(
    options: dict[str, object], expected: list[str], series: Series, analyse: Analyse, tmp_path: Path, created: datetime
) -> None:
    roles = ("capture", "report", "negative_capture")
    written = write_results(analyse(series(1), **options), tmp_path / "out", created=created, objects=roles)
    said = options.get("verdict", "nothing found")
    names = dict.fromkeys(str(dcmread(result.path).SeriesDescription) for result in written)
    assert list(names) == [f"AI Glioma: {said}, {what} - NOT FOR DIAGNOSTIC USE" for what in expected]


def test_several_verdicts_are_named_and_too_many_counted(series: Series, analyse: Analyse) -> None:
    paths = series(1)
    for verdicts, expected in (
        ((Verdict.CAUTION, Verdict.TRUSTED, Verdict.CAUTION), "TRUSTED/CAUTION"),
        ((Verdict.CAUTION, Verdict.TRUSTED, Verdict.WITHHELD), "3 verdicts"),
    ):
        parts = [analyse(paths, verdict=verdict) for verdict in verdicts]
        analysis = replace(parts[0], explanations=tuple(part.explanations[0] for part in parts))
        assert described(analysis, "overlay") == f"AI Glioma: {expected}, overlay - NOT FOR DIAGNOSTIC USE"
