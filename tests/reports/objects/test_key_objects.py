"""The key objects are the captures, the images they explain and the report, each once."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from highdicom.ko import KeyObjectSelectionDocument
from pydicom import dcmread
from pydicom.data import get_testdata_file

from inference.analysis import Analysis
from reports.objects.results import ResultObject, write_results
from reports.objects.uids import ResultUids

Series = Callable[..., list[Path]]
Analyse = Callable[..., Analysis]
Errors = Callable[[Path], list[str]]
WANTED = ("key_objects",)


def selection(results: tuple[ResultObject, ...]) -> ResultObject:
    (one,) = [result for result in results if result.role == "key_objects"]
    return one


def on_frames(analysis: Analysis, *frames: int) -> Analysis:
    """Explain the finding on several planes."""
    (first,) = analysis.explanations
    maps = tuple(replace(first, map=replace(first.map, frame=frame)) for frame in frames)
    return replace(analysis, explanations=maps)


def test_it_names_captures_sources_and_report(
    series: Series, analyse: Analyse, errors: Errors, tmp_path: Path, created: datetime
) -> None:
    paths = series(3)
    analysis = on_frames(analyse(paths), 1, 2, 2)
    results = write_results(analysis, tmp_path / "out", created=created, objects=WANTED)
    written, uids = selection(results), ResultUids.of_analysis(analysis)
    read = KeyObjectSelectionDocument.from_dataset(dcmread(written.path))
    named = [item.referenced_sop_instance_uid for item in read.content.get_references()]
    sources = [dcmread(path).SOPInstanceUID for path in paths[1:]]
    assert named == [*(uids.instance("capture", index) for index in range(3)), *sources, uids.instance("report")]
    assert {result.sop_instance_uid for result in results if result.role in ("capture", "report")} <= set(named)
    assert read.resolve_reference(uids.instance("report"))[1] == uids.series("report")
    (title,) = read.ConceptNameCodeSequence
    assert (title.CodeValue, title.CodingSchemeDesignator) == ("113000", "DCM")
    assert (written.sop_instance_uid, read.Modality) == (uids.instance("key_objects"), "KO")
    assert errors(written.path) == []


def test_it_names_the_frames_of_a_multi_frame_source(
    analyse: Analyse, errors: Errors, tmp_path: Path, created: datetime
) -> None:
    path = Path(str(get_testdata_file("emri_small.dcm")))
    analysis = on_frames(analyse([path]), 6, 1, 6)
    written = selection(write_results(analysis, tmp_path / "out", created=created, objects=WANTED))
    items = [
        reference
        for item in dcmread(written.path).ContentSequence
        for reference in item.get("ReferencedSOPSequence", ())
        if reference.ReferencedSOPInstanceUID == dcmread(path).SOPInstanceUID
    ]
    assert [list(item.ReferencedFrameNumber) for item in items] == [[2, 7]]
    assert errors(written.path) == []


def test_it_names_the_report_on_an_incomplete_study_where_that_is_the_report(
    series: Series, analyse: Analyse, tmp_path: Path, created: datetime
) -> None:
    analysis, missing = analyse(series(1)), "3 of 4 images"
    results = write_results(analysis, tmp_path / "out", created=created, missing=missing, objects=WANTED)
    uids = ResultUids.of_analysis(analysis)
    assert selection(results).sop_instance_uid == uids.instance("key_objects", missing) != uids.instance("key_objects")
    assert results[-1].sop_instance_uid.encode() in selection(results).path.read_bytes()


def test_nothing_found_has_no_key_objects(series: Series, analyse: Analyse, tmp_path: Path, created: datetime) -> None:
    results = write_results(analyse(series(1), found=False), tmp_path / "out", created=created, objects=WANTED)
    assert [result.role for result in results] == ["report"]
