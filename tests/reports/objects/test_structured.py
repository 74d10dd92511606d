"""The structured report: found by its codes, complete, honest about nulls, and readable by other people's programs."""

import shutil
import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from highdicom.sr import srread
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from scipy.ndimage import binary_dilation

from inference.analysis import Analysis
from inference.passport.entries import Missed
from inference.reading.account import Accounted, Disposition, StudyReading
from inference.reading.outlines import outlines_of
from inference.reading.study import read_series
from inference.trust.statement import Conclusion, Statement
from inference.trust.verdict import Signal, Verdict
from reports.objects.request import WriteRequest
from reports.objects.results import write_not_analysed, write_results
from reports.objects.structured import write
from reports.objects.uids import ResultUids
from reports.wording import account_sentences
from tests.reports import made_up

Series = Callable[..., list[Path]]
Analyse = Callable[..., Analysis]
Report = Callable[..., Path]


@pytest.fixture
def report(analyse: Analyse, request_of: Callable[[Analysis], WriteRequest], tmp_path: Path) -> Report:
    def make(paths: list[Path], **options: object) -> Path:
        (written,) = write(request_of(analyse(paths, **options)))
        written.save_as(tmp_path / "report.dcm", enforce_file_format=True)
        return tmp_path / "report.dcm"

    return make


def items(dataset: Dataset) -> list[Dataset]:
    """Return every content item of the tree."""
    return [item for child in dataset.get("ContentSequence", []) for item in (child, *items(child))]


def named(dataset: Dataset, code: str) -> list[Dataset]:
    def value(item: Dataset) -> str:
        name = item.ConceptNameCodeSequence[0]
        return str(name.get("CodeValue") or name.get("LongCodeValue"))

    return [item for item in items(dataset) if value(item) == code]


def texts(path: Path) -> str:
    return texts_of(dcmread(path))


def texts_of(written: Dataset) -> str:
    return "\n".join(item.TextValue for item in items(written) if item.ValueType == "TEXT")


def test_it_is_preliminary_unverified_english_and_not_for_diagnostic_use(series: Series, report: Report) -> None:
    path = report(series(1))
    written = dcmread(path)
    flags = (written.CompletionFlag, written.VerificationFlag, written.PreliminaryFlag)
    assert flags == ("COMPLETE", "UNVERIFIED", "PRELIMINARY")
    assert written.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert named(written, "121049")[0].ConceptCodeSequence[0].CodeValue == "en-US"
    assert "NOT FOR DIAGNOSTIC USE" in texts(path)


def test_highdicom_reads_the_finding_back(series: Series, report: Report, analyse: Analyse) -> None:
    paths = series(3)
    read = srread(report(paths))
    assert read.content.get_image_measurement_groups() == []
    (whole,) = named(read, "whole_series")
    (finding,) = read.content.get_planar_roi_measurement_groups()
    assert finding.finding_type.value == "393564001"
    assert finding.tracking_uid == ResultUids.of_analysis(analyse(paths)).tracking("finding 0")
    measured = {measurement.name.meaning: measurement for measurement in finding.get_measurements()}
    assert measured["Probability"].value == pytest.approx(0.97)
    assert measured["Decision threshold of the probability"].value == pytest.approx(0.5)
    (highest,) = named(whole, "probability_glioma")
    assert named(highest, "121401")[0].ConceptCodeSequence[0].CodeValue == "56851009"


def test_the_verdict_stands_with_its_reasons(series: Series, report: Report) -> None:
    path = report(series(1), verdict=Verdict.CAUTION, score=0.61, reasons=("Two replicates disagree.",))
    (finding,) = srread(path).content.get_planar_roi_measurement_groups()
    verdicts = [e.value.meaning for e in finding.get_qualitative_evaluations() if e.name.value == "verdict"]
    assert verdicts == ["CAUTION"]
    assert "CAUTION: Two replicates disagree." in texts(path)
    scores = [m.value for m in finding.get_measurements() if m.name.value == "trust_score"]
    assert scores == [pytest.approx(0.61)]


def test_the_summary_gives_each_verdict_before_any_signal(series: Series, report: Report) -> None:
    path = report(series(2), verdict=Verdict.CAUTION, score=0.61, reasons=("Two replicates disagree.", "More."))
    line = "Map of glioma, plane 1 of 2 (image 11): CAUTION, P(peak lies in a true finding) = 0.61. "
    assert f"{line}Two replicates disagree. No independent localiser in this bundle." in texts(path)
    assert texts(path).index(line) < texts(path).index("bundle digest")


def test_nothing_looks_calibrated_before_it_is(series: Series, report: Report) -> None:
    path = report(series(1), score=None)
    assert not named(dcmread(path), "trust_score")
    assert "not calibrated" in texts(path)


def test_the_calibrated_probability_of_the_class_stands_beside_the_raw_one(series: Series, report: Report) -> None:
    path = report(series(1), statement=made_up.CALIBRATED, verdict=Verdict.CAUTION, score=0.61)
    (finding,) = srread(path).content.get_planar_roi_measurement_groups()
    measured = {measurement.name.value: measurement.value for measurement in finding.get_measurements()}
    assert measured["122157"] == pytest.approx(0.97)
    assert measured["class_probability"] == pytest.approx(0.9224, abs=1e-4)
    assert measured["trust_score"] == pytest.approx(0.61)
    said = texts(path)
    assert "CAUTION, P(peak lies in a true finding) = 0.61. P(class is right) = 0.92, calibrated here." in said
    assert "calibrated on 467 cases of commissioning: 17 patients or groups with it" in said
    assert "where the finding is rarer, it is too high" in said


def test_a_class_without_calibration_has_no_calibrated_probability(series: Series, report: Report) -> None:
    path = report(series(1), verdict=Verdict.CAUTION, score=0.61)
    assert not named(dcmread(path), "class_probability")
    assert "P(class is right)" not in texts(path)


def test_every_signal_has_its_null_and_its_a_star_with_interval(series: Series, report: Report) -> None:
    signal = Signal("agreement", "agreement with 2 replicates", "A", 0.8, 0.4, (0.3, 0.5), 17, 2 / 3, (0.6, 0.7143))
    written = dcmread(report(series(1), signals=(signal,)))
    (value,), (a_star,) = named(written, "agreement"), named(written, "agreement_a_star")
    assert float(value.MeasuredValueSequence[0].NumericValue) == 0.8
    (null,) = named(value, "373098007")
    assert float(null.MeasuredValueSequence[0].NumericValue) == 0.4
    assert "17 other subjects" in named(value, "121405")[0].TextValue
    assert "0.30 to 0.50" in named(value, "121405")[0].TextValue
    assert float(a_star.MeasuredValueSequence[0].NumericValue) == pytest.approx(2 / 3, abs=1e-5)
    reach = [float(named(a_star, code)[0].MeasuredValueSequence[0].NumericValue) for code in ("371886008", "371885007")]
    assert reach == pytest.approx([0.0476, 0.0667], abs=1e-3)
    assert named(a_star, "121401")[0].ConceptCodeSequence[0].CodeValue == "null_referenced"


def test_every_signal_of_a_commissioned_site_has_its_part_in_the_score(series: Series, report: Report) -> None:
    written = dcmread(report(series(1), verdict=Verdict.TRUSTED, score=0.93, signals=made_up.signals()))
    for signal in made_up.signals():
        (part,) = named(written, f"{signal.name}_part")
        assert float(part.MeasuredValueSequence[0].NumericValue) == pytest.approx(signal.part, rel=1e-5)
        assert named(part, "121401")[0].ConceptCodeSequence[0].CodeValue == "part_in_log_odds"
        assert len(named(written, signal.name)) == 1
        assert len(named(written, f"{signal.name}_a_star")) == (signal.referenced is not None)
    assert "have no interval" in texts_of(written)


def test_without_a_score_nothing_is_told_as_a_part_of_one(series: Series, report: Report) -> None:
    written = dcmread(report(series(1), verdict=Verdict.OUT_OF_ENVELOPE, score=None, signals=made_up.signals()))
    assert named(written, "witness_at_peak")
    assert not named(written, "witness_at_peak_part")


@pytest.mark.parametrize(
    ("localiser", "verdict", "code"),
    [
        (0.9, Verdict.TRUSTED, "localiser_finding"),
        (0.5, Verdict.WITHHELD, "localiser_finding"),
        (0.1, Verdict.WITHHELD, "localiser_nothing"),
        (None, Verdict.CAUTION, "localiser_absent"),
        (None, Verdict.UNCOMMISSIONED, "localiser_absent"),
        (0.9, Verdict.UNCOMMISSIONED, "localiser_finding"),
    ],
)
def test_it_says_what_the_localiser_saw_or_that_there_is_none(
    series: Series, report: Report, localiser: float | None, verdict: Verdict, code: str
) -> None:
    seen = None if localiser is None else np.full((48, 40), localiser, np.float32)
    (evaluation,) = named(dcmread(report(series(1), verdict=verdict, localiser=seen)), "localiser")
    concept = evaluation.ConceptCodeSequence[0]
    assert (concept.get("CodeValue") or concept.LongCodeValue) == code


def test_a_signal_that_could_not_be_measured_is_said_in_words(series: Series, report: Report) -> None:
    broken = Signal("shape", "shape of the map", "A", float("nan"), None, None, 0, None, None)
    path = report(series(1), signals=(broken,))
    assert not named(dcmread(path), "shape")
    assert "Not measurable: shape of the map." in texts(path)


def test_the_visual_explanation_points_at_the_capture(
    series: Series, analyse: Analyse, tmp_path: Path, created: datetime
) -> None:
    capture, report = write_results(analyse(series(1), method="xrai"), tmp_path / "out", created=created)
    (explanation,) = named(dcmread(report.path), "130401")
    assert explanation.ConceptNameCodeSequence[0].CodingSchemeDesignator == "DCM"
    assert explanation.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == capture.sop_instance_uid
    assert named(explanation, "121401")[0].ConceptCodeSequence[0].CodeValue == "130404"


def test_everything_it_refers_to_is_listed_as_evidence(series: Series, report: Report) -> None:
    written = dcmread(report(series(3)))
    listed = {
        instance.ReferencedSOPInstanceUID
        for study in written.CurrentRequestedProcedureEvidenceSequence
        for of_series in study.ReferencedSeriesSequence
        for instance in of_series.ReferencedSOPSequence
    }
    referred = {i.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for i in items(written) if i.ValueType == "IMAGE"}
    assert referred == listed
    assert len(listed) == 4


def test_the_model_is_identified_to_the_byte(series: Series, report: Report) -> None:
    text = texts(report(series(1)))
    for part in ("ab" * 32, "cd" * 32, "ef" * 32, "torch 2.13.0", "device cpu", "seed 7", "gradcam",
                 "features.denseblock4", "upsampling bilinear"):  # fmt: skip
        assert part in text


def test_the_range_of_planes_is_told_from_one(series: Series, report: Report) -> None:
    assert "Found: glioma, planes 2 to 5 of 5, highest 0.97 on plane 5." in texts(report(series(5)))


def test_nothing_found_is_said_and_not_called_absent(series: Series, report: Report) -> None:
    path = report(series(3), found=False)
    written = dcmread(path)
    assert named(written, "111017")[0].ConceptCodeSequence[0].CodeValue == "111241"
    assert not named(written, "121071")
    assert not named(written, "130401")
    assert "Nothing found" in texts(path)
    assert "does not exclude disease" in texts(path)
    (highest,) = named(written, "probability_glioma")
    assert float(highest.MeasuredValueSequence[0].NumericValue) == pytest.approx(0.31, abs=1e-5)
    assert "nothing is known of what it misses here" in texts(path)
    (said,) = named(written, "statement")
    assert said.ConceptCodeSequence[0].CodeMeaning == "Nothing found"


KNOWN = {
    "glioma": Missed(missed=2, of=17, ci=(0.0146, 0.3644), unit="patients"),
    "meningioma": Missed(missed=0, of=0, ci=(0.0, 1.0), unit="groups"),
}


def test_nothing_found_carries_how_many_patients_the_model_missed_at_commissioning(
    series: Series, report: Report
) -> None:
    statement = Statement(Conclusion.NOTHING_FOUND, (), KNOWN, 0.62)
    path = report(series(3), found=False, statement=statement)
    said = texts(path)
    assert "Nothing found" in said
    assert "Of 17 patients with glioma at commissioning the model missed 2 (0.12, 95 % interval 0.01 to 0.36)." in said
    assert "No one had meningioma at commissioning" in said
    (distance,) = named(dcmread(path), "distance_from_commissioning")
    assert float(distance.MeasuredValueSequence[0].NumericValue) == pytest.approx(0.62)


@pytest.mark.parametrize("distance", [1.7, float("inf")])
def test_a_series_unlike_commissioning_gets_no_statement_and_is_not_called_without_findings(
    series: Series, report: Report, distance: float
) -> None:
    strange = "Largest difference: the noise within the anatomy, 4.1 SD above commissioning's mean."
    path = report(series(3), found=False, statement=Statement(Conclusion.NO_STATEMENT, (strange,), KNOWN, distance))
    written, said = dcmread(path), texts(path)
    assert named(written, "111017")[0].ConceptCodeSequence[0].CodeValue == "111245"
    assert named(written, "statement")[0].ConceptCodeSequence[0].CodeMeaning == "No statement"
    assert "No statement: unlike the images this model was commissioned on." in said
    assert strange in said
    assert "Nothing found" not in said
    assert "the model missed" not in said, "what was missed on other images says nothing of these"


def test_a_finding_on_images_unlike_commissioning_stands_with_a_warning(series: Series, report: Report) -> None:
    path = report(series(3), statement=Statement(Conclusion.FOUND, ("The noise differs.",), KNOWN, 1.7))
    assert named(dcmread(path), "111017")[0].ConceptCodeSequence[0].CodeValue == "111242"
    assert "no statement on what it did not find. | The noise differs." in texts(path).replace("\n", " | ")


PARTLY = "The stack was partly read: 1 plane is absent inside the stack"


@pytest.mark.parametrize("found", [True, False])
def test_a_stack_that_is_partly_read_says_so_beside_every_finding_and_every_nothing_found(
    series: Series, report: Report, found: bool
) -> None:
    paths = series(6)
    written = dcmread(report([*paths[:2], *paths[3:]], found=found))
    said = [item.TextValue for item in items(written) if item.ValueType == "TEXT"]
    beside = [text for text in said if text.startswith(("Found:", "Nothing found"))]
    assert beside
    assert all(PARTLY in text for text in beside)
    groups = named(written, "125007")
    assert [PARTLY in texts_of(group) for group in groups] == [False, *([True] if found else [])]
    assert PARTLY not in texts(report(series(5), found=found))


def test_it_counts_what_was_read_what_was_set_apart_and_what_was_not_meant(
    series: Series, analyse: Analyse, tmp_path: Path, created: datetime
) -> None:
    reading = StudyReading(
        (),
        (
            Accounted("1.1", "1", Disposition.READ),
            Accounted("1.2", "1", Disposition.SET_APART, "Raw Data Storage has no image pixels."),
            Accounted("1.3", "2", Disposition.NOT_MEANT, "It is of a knee."),
            Accounted("1.4", "2", Disposition.NOT_MEANT, "It is of a knee."),
        ),
    )
    account = account_sentences(reading)
    analysed = write_results(analyse(series(3)), tmp_path / "found", created=created, account=account)
    declined = write_not_analysed(series(3), tmp_path / "not", reason="Flat.", created=created, account=account)
    for written in (analysed[-1], *declined):
        said = texts(written.path)
        assert "Instances of the study: 1 read, 1 set apart, 2 not meant for this bundle." in said
        assert "Set apart: Raw Data Storage has no image pixels. (1 instance)" in said
        assert "Not meant for this bundle: It is of a knee. (2 instances)" in said


def test_a_class_without_a_standard_code_gets_one_of_ours_that_is_declared(series: Series, report: Report) -> None:
    path = report(series(1), code=None)
    finding = srread(path).content.get_planar_roi_measurement_groups()[0].finding_type
    assert (finding.value, finding.scheme_designator, finding.meaning) == ("glioma", "99HEATPROOF", "glioma")
    assert dcmread(path).CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == "99HEATPROOF"


def test_the_frame_of_a_multi_frame_image_is_named(report: Report) -> None:
    path = report([Path(str(get_testdata_file("emri_small.dcm")))], frame=4)
    (region,) = named(dcmread(path), "111030")
    assert region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedFrameNumber == 5


def test_a_withheld_map_gives_no_place_away(series: Series, report: Report) -> None:
    assert "highest at row" in texts(report(series(1)))
    path = report(series(1), verdict=Verdict.WITHHELD, localiser=np.ones((48, 40), np.float32))
    assert "highest at row" not in texts(path)
    assert not [item for item in items(dcmread(path)) if item.ValueType == "SCOORD"]


def test_peak_region_and_localiser_lie_on_the_source_image(series: Series, report: Report) -> None:
    heat, localiser = np.zeros((48, 40), np.float32), np.zeros((48, 40), np.float32)
    heat[10:20, 5:15], heat[12, 9], localiser[11:21, 6:16] = 0.9, 1.0, 0.8
    heat[40, 35] = 0.95  # another spot, apart from the peak's
    paths = series(2)
    written = dcmread(report(paths, frame=1, verdict=Verdict.CAUTION, on_frame=heat, localiser=localiser))
    (peak,), (region,), (seen,) = (named(written, code) for code in ("map_peak", "111030", "localised_region"))
    assert (peak.GraphicType, list(peak.GraphicData)) == ("POINT", [9.5, 12.5])
    for item, (rows, columns) in ((region, ((10, 20), (5, 15))), (seen, ((11, 21), (6, 16)))):
        points = np.array(item.GraphicData).reshape(-1, 2)
        assert item.GraphicType == "POLYLINE"
        np.testing.assert_array_equal(points[0], points[-1])
        assert [points[:, 1].min(), points[:, 1].max()] == pytest.approx(rows)
        assert [points[:, 0].min(), points[:, 0].max()] == pytest.approx(columns)
        (source,) = item.ContentSequence[0].ReferencedSOPSequence
        assert source.ReferencedSOPInstanceUID == dcmread(paths[1]).SOPInstanceUID
    frames = {frame.sop_instance_uid: (frame, heat.shape) for frame in read_series(paths).frames}
    outlines, problems = outlines_of(written, frames, most=16)
    assert problems == []
    marked = heat.copy()
    marked[40, 35] = 0
    assert outlines[0].mask[marked > 0].all()
    assert not outlines[0].mask[~binary_dilation(marked > 0, np.ones((3, 3)))].any()


def test_a_finding_is_coded_at_study_level_and_a_negative_is_not(series: Series, report: Report) -> None:
    paths = series(2)
    root = dcmread(report(paths))
    (evaluations,) = [
        item for item in root.ContentSequence if item.ConceptNameCodeSequence[0].get("CodeValue") == "C0034375"
    ]
    (finding,) = [item for item in evaluations.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "121071"]
    assert finding.ConceptCodeSequence[0].CodeValue == "393564001"
    assert not named(dcmread(report(paths, found=False)), "121071")


@pytest.mark.parametrize(
    ("part", "side", "expected"),
    [
        ("BRAIN", "", [("12738006", None)]),
        ("BRAIN", "L", [("12738006", None)]),
        ("KNEE", "R", [("72696002", "24028007")]),
        ("KNEE", "", [("72696002", None)]),
        ("SOMETHING", "L", []),
    ],
)
def test_site_and_side_are_those_the_header_names_and_no_others(
    part: str, side: str, expected: list[tuple[str, str | None]], series: Series, report: Report
) -> None:
    def change(header: Dataset) -> None:
        header.BodyPartExamined, header.Laterality = part, side

    sites = named(dcmread(report(series(1, change=change))), "363698007")
    sides = [named(site, "272741003") for site in sites]
    told = [side[0].ConceptCodeSequence[0].CodeValue if side else None for side in sides]
    assert list(zip([site.ConceptCodeSequence[0].CodeValue for site in sites], told, strict=True)) == expected


def test_the_procedure_is_the_sources_own_and_an_incomplete_code_is_left_out(series: Series, report: Report) -> None:
    def change(header: Dataset) -> None:
        header.ProcedureCodeSequence = [Dataset(), Dataset()]
        code, broken = header.ProcedureCodeSequence
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "24590-2", "LN", "MR Schädel"
        broken.CodeValue, broken.CodingSchemeDesignator = "X", "LN"

    (named_one,) = named(dcmread(report(series(1, change=change))), "121058")
    assert named_one.ConceptCodeSequence[0].CodeValue == "24590-2"
    assert named_one.ConceptCodeSequence[0].CodeMeaning == "MR Schadel"
    (fallback,) = named(dcmread(report(series(1))), "121058")
    assert fallback.ConceptCodeSequence[0].CodeValue == "363679005"


@pytest.mark.parametrize(("verdict", "beside"), [(Verdict.TRUSTED, 4), (Verdict.WITHHELD, 0)])
def test_numbers_for_programs_stand_in_one_container(
    verdict: Verdict, beside: int, series: Series, report: Report
) -> None:
    options = {"score": 0.5, "signals": made_up.signals(), "statement": made_up.CALIBRATED}
    groups = named(dcmread(report(series(1), verdict=verdict, **options)), "125007")
    kinds = [[item.ValueType for item in group.ContentSequence] for group in groups]
    assert [kind.count("NUM") for kind in kinds] == [0, beside]
    assert [len(named(group, "detail")) for group in groups] == [1, 1]
    assert len(named(groups[1], "122157")) == 1


def test_not_analysed_is_coded_and_reads_back(series: Series, tmp_path: Path, created: datetime) -> None:
    (result,) = write_not_analysed(series(2), tmp_path / "out", reason="Only 2 planes.", created=created)
    assert named(dcmread(result.path), "111017")[0].ConceptCodeSequence[0].CodeValue == "111245"
    assert srread(result.path).content.get_image_measurement_groups() == []
    assert "Not analysed: Only 2 planes." in texts(result.path)


@pytest.mark.peers
@pytest.mark.parametrize("program", ["dsrdump", "dsr2html"])
@pytest.mark.parametrize("said", Conclusion)
def test_dcmtk_reads_it(series: Series, report: Report, program: str, said: Conclusion) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"DCMTK's {program} is not installed")
    found, distance = said is Conclusion.FOUND, 2.0 if said is Conclusion.NO_STATEMENT else 0.5
    statement = Statement(said, (), KNOWN, distance)
    path = report(
        series(2), found=found, verdict=Verdict.TRUSTED, score=0.93, signals=made_up.signals(), statement=statement
    )
    shown = subprocess.run([program, path], capture_output=True, text=True, check=True, errors="replace")
    assert "E: " not in shown.stderr
    assert "Imaging Measurement Report" in shown.stdout
    assert ("Visual explanation" in shown.stdout) is found
    assert ("Log-odds part: localiser" in shown.stdout) is found
    assert said.value.capitalize() in shown.stdout
