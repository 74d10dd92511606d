"""Whether the class is right: a question beside where the map points, and the verdict needs both."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference import archive
from inference.analyse import analyse
from inference.analysis import Explanation
from inference.bundle.bundle import Bundle
from inference.findings import Classification, Finding, PlaneRange
from inference.options import AnalysisOptions
from inference.passport.calibrator import Recalibration
from inference.passport.class_calibration import ClassCalibration
from inference.passport.passport import SHIPPED_PASSPORTS, load_passport, save_passport, sealed
from inference.reading.image import Image
from inference.trust.judge import REGION_SENTENCES
from inference.trust.likeness import Likeness
from inference.trust.statement import Statement, state
from inference.trust.verdict import Verdict
from inference.trust.warrant import Warrant

PASSPORT = SHIPPED_PASSPORTS / "phantoms" / "glioma_flair" / "passport.json"
CPU = AnalysisOptions(planes_explained=1, device="cpu")
CALLED = Classification(
    ("none", "glioma"),
    np.array([[0.1, 0.9]], np.float32),
    (PlaneRange("glioma", 0, 0, 0, 0.9),),
    (Finding("glioma", 1, None, 0.9, 0.5, 0),),
)


def calibration(shift: float) -> ClassCalibration:
    """Return what moves the log-odds by so much."""
    line = Recalibration((0.0,), (shift,), 1.0)
    return ClassCalibration(
        recalibration=line, cases=467, with_class=17, without_class=16, cross_fitted=False, judged={}
    )


CLAIMS = tuple(REGION_SENTENCES.values())


def judged(image: Image, bundle: Bundle, warrant: Warrant, shift: float) -> Explanation:
    current = replace(warrant, changed=(), calibrations={"glioma": calibration(shift)})
    (explanation,) = analyse(image, bundle, CPU, warrant=current).explanations
    return explanation


@pytest.mark.numerics
def test_a_map_is_trusted_only_where_the_class_is_more_likely_right_than_wrong(
    bundle: Bundle, warrant: Warrant, clear: Image
) -> None:
    believed, doubted = (judged(clear, bundle, warrant, shift) for shift in (0.0, -20.0))
    assert believed.trust.verdict is Verdict.TRUSTED
    assert doubted.trust.verdict is Verdict.CAUTION
    assert doubted.trust.reasons[0].startswith("The class is more likely wrong than right (P 0.0")
    said = tuple(reason for reason in believed.trust.reasons[1:] if not reason.startswith(CLAIMS))
    assert doubted.trust.reasons[1:] == said, "of a doubted class nothing is claimed"
    assert doubted.trust.score == believed.trust.score, "where the map points is another question"


def test_a_passport_brings_its_calibrations_and_an_older_one_none(tmp_path: Path) -> None:
    older = load_passport(PASSPORT)
    bare = replace(older.classification.classes["glioma"], calibration=None)
    older = sealed(replace(older, classification=replace(older.classification, classes={"glioma": bare})))
    assert Warrant.of(older, alpha=0.1, delta=0.1).calibrations == {}
    known = older.classification
    figures = replace(known.classes["glioma"], calibration=calibration(1.0))
    later = sealed(replace(older, classification=replace(known, classes={"glioma": figures})))
    save_passport(later, tmp_path / "passport.json")
    back = load_passport(tmp_path / "passport.json")
    assert back == later
    assert back.digest != older.digest
    assert Warrant.of(back, alpha=0.1, delta=0.1).calibrations == {"glioma": calibration(1.0)}


def test_a_finding_has_a_calibrated_probability_only_on_images_like_those_of_commissioning(warrant: Warrant) -> None:
    known = replace(warrant, calibrations={"glioma": calibration(-1.0)})

    def said(distance: float, digest: str = warrant.bundle_digest) -> float | None:
        return state(CALLED, Likeness(distance, ()), known, digest).class_probability(CALLED.findings[0])

    assert said(0.5) == pytest.approx(1 / (1 + np.exp(1.0) / 9))
    assert said(1.5) is None
    assert said(0.5, "another") is None
    assert state(CALLED, None, None, "").class_probability(CALLED.findings[0]) is None


def test_a_class_that_could_not_be_calibrated_has_no_probability_and_does_not_cap_the_verdict(warrant: Warrant) -> None:
    none = replace(calibration(0.0), recalibration=None, reason="There are 2 patients with it.")
    known = replace(warrant, calibrations={"glioma": none})
    said = state(CALLED, Likeness(0.5, ()), known, warrant.bundle_digest)
    assert said.class_probability(CALLED.findings[0]) is None
    assert said.calibrations["glioma"].reason == "There are 2 patients with it."


def test_a_statement_with_calibrations_comes_back_from_disk_the_same(warrant: Warrant, tmp_path: Path) -> None:
    known = replace(warrant, calibrations={"glioma": calibration(-1.0)})
    said = state(CALLED, Likeness(0.5, ()), known, warrant.bundle_digest)
    archive.save(said, tmp_path, "statement")
    assert archive.load(Statement, tmp_path, "statement") == said
