"""The page's section on whether the class is right: figures, diagrams, and what a calibration rests on."""

import re
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from inference.commissioning.calibrating import ClassRows, calibrate
from inference.passport.class_calibration import ClassCalibration
from inference.passport.passport import Passport
from reports.passport.charts import reliability_chart
from reports.passport.page import passport_page
from tests.reports.passport.test_passport_page import passport  # noqa: F401  a fixture


@pytest.fixture(scope="module")
def made() -> ClassCalibration:
    draw = np.random.default_rng(8)
    true = draw.normal(0.0, 1.5, 400)
    rows = ClassRows(expit(3 * true), draw.random(400) < expit(true), np.repeat(np.arange(40), 10).astype(str))
    early = rows.groups.astype(int) < 20
    return calibrate(rows.take(early), rows.take(~early), 0.5)


def page_of(request: pytest.FixtureRequest, calibration: ClassCalibration | None) -> str:
    plain: Passport = request.getfixturevalue("passport")
    known = plain.classification
    classes = {"lesion": replace(known.classes["lesion"], calibration=calibration)}
    return passport_page(replace(plain, classification=replace(known, classes=classes)))


def test_the_figures_before_and_after_stand_on_the_page_with_a_diagram(
    made: ClassCalibration, request: pytest.FixtureRequest
) -> None:
    page = page_of(request, made)
    every = made.judged["every"]
    assert every.calibrated is not None
    figures = (every.raw.ece, every.calibrated.ece, every.raw.brier, every.calibrated.brier, every.right)
    for words in (
        "Is the class right?", "Platt 1999", "lesion, every case", "lesion, called", "one of each patient",
        "calibrated on 200 cases of commissioning: 20 patients or groups with it, 20 with a case without it",
        "where the finding is rarer, it is too high", "as the network gives it", "calibrated here",
        *(f"{figure.value:.3f}" for figure in figures), f"{every.raw.ece_if_perfect:.3f}",
    ):  # fmt: skip
        assert words in page, words
    assert page.count('aria-label="lesion: ') == 2


def test_a_small_site_and_a_class_without_calibration_say_so(
    made: ClassCalibration, request: pytest.FixtureRequest
) -> None:
    assert "a small site" not in page_of(request, made)
    assert "of folds that did not see the patient: a small site" in page_of(request, replace(made, cross_fitted=True))
    none = replace(made, recalibration=None, reason="There are 2 <patients>.", judged={})
    assert "The probability of lesion is not calibrated here. There are 2 &lt;patients&gt;." in page_of(request, none)


def test_an_older_passport_has_no_section(request: pytest.FixtureRequest) -> None:
    assert "Is the class right?" not in page_of(request, None)


def test_a_diagram_has_a_mark_for_every_bin_and_keeps_them_inside(made: ClassCalibration) -> None:
    judged = made.judged["every"]
    chart = reliability_chart(judged, "a <title>")
    assert chart.count("<rect") == chart.count("<circle") == len(judged.raw.bins) + 1, "and one in the legend"
    places = [float(x) for x in re.findall(r'c[xy]="(-?[\d.]+)"', chart)]
    assert all(0 <= place <= 400 for place in places)
    assert "a &lt;title&gt;" in chart
    assert "<circle" not in reliability_chart(replace(judged, calibrated=None), "raw alone")
