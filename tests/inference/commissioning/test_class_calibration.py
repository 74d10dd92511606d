"""Whether the class is right: fitted on some patients, judged on others, and shown to be better where it is."""

import numpy as np
import pytest
from scipy.special import expit, logit

from inference.commissioning.calibrating import FEWEST, ClassRows, calibrate
from inference.passport.class_calibration import ClassCalibration, class_doubt, set_right

pytestmark = pytest.mark.numerics
SHARPENED, SHIFT = 3.0, 1.0
"""The network's log-odds are so many times the true ones, and higher by so much: it is too sure, and calls too much."""


def site(patients: int, seed: int, *, first: int = 0, planes: int = 8) -> ClassRows:
    """Return a site whose true probabilities are known; each patient's planes lie together."""
    draw = np.random.default_rng(seed)
    of_patient = np.repeat(draw.normal(0.0, 1.5, patients), planes)
    true = of_patient + draw.normal(0.0, 0.7, patients * planes)
    names = np.array([f"P{first + number:03d}" for number in range(patients)])
    own = draw.random(len(true)) < expit(true)
    return ClassRows(expit(SHARPENED * true + SHIFT), own, np.repeat(names, planes))


def relabelled(rows: ClassRows, own: np.ndarray) -> ClassRows:
    return ClassRows(rows.probability, own, rows.groups)


@pytest.fixture(scope="module")
def made() -> ClassCalibration:
    return calibrate(site(80, 1), site(80, 2, first=80), 0.5)


def test_a_network_that_is_too_sure_is_set_right_on_patients_it_was_not_fitted_on(made: ClassCalibration) -> None:
    assert made.recalibration is not None
    assert made.recalibration.slope == pytest.approx(1 / SHARPENED, abs=0.06)
    for group in ("every", "called"):
        judged = made.judged[group]
        assert judged.calibrated is not None
        assert judged.calibrated.ece.value < judged.raw.ece.value / 2, group
        assert judged.calibrated.brier.value < judged.raw.brier.value
        assert judged.raw.ece.low > judged.raw.ece_if_perfect, "more than chance"
    called = made.judged["called"]
    said = sum(entry.probability * entry.right.n for entry in called.raw.bins) / called.right.n
    assert said > called.right.high, "surer than right"


def test_every_case_is_fitted_on_and_the_three_groups_are_those_the_node_knows(made: ClassCalibration) -> None:
    judged = site(80, 2, first=80)
    reached = judged.probability >= 0.5
    patients = set(judged.groups[reached])
    assert made.cases == 80 * 8
    assert made.judged["every"].right.n == 80 * 8
    assert made.judged["called"].right.n == reached.sum()
    assert made.judged["surest"].right.n == made.judged["surest"].right.groups == len(patients)
    surest = [
        judged.own[judged.groups == name][judged.probability[judged.groups == name].argmax()] for name in patients
    ]
    assert made.judged["surest"].right.value == pytest.approx(np.mean(surest), abs=1e-6)


def test_what_is_judged_has_no_part_in_the_line(made: ClassCalibration) -> None:
    other = relabelled(site(80, 2, first=80), np.zeros(640, np.bool_))
    assert calibrate(site(80, 1), other, 0.5).recalibration == made.recalibration
    assert not made.cross_fitted


def test_a_small_site_is_fitted_on_all_patients_and_judged_without_their_own() -> None:
    fitted, judged = site(FEWEST - 1, 3), site(30, 4, first=100)
    made = calibrate(fitted, judged, 0.5)
    assert made.cross_fitted
    assert made.cases == len(fitted.own) + len(judged.own)
    judgement = made.judged["every"]
    assert judgement.calibrated is not None
    assert made.recalibration is not None
    seen = float(np.mean((set_right(made.recalibration, judged.probability) - judged.own) ** 2))
    assert judgement.calibrated.brier.value > seen, "by folds, not by the line that saw the patient"
    assert judgement.calibrated.brier.value < judgement.raw.brier.value


def test_one_split_alone_is_cross_fitted() -> None:
    nobody = ClassRows(np.zeros(0), np.zeros(0, np.bool_), np.zeros(0, np.str_))
    made = calibrate(nobody, site(30, 4), 0.5)
    assert made.cross_fitted
    assert made.cases == 240
    assert made.recalibration is not None


@pytest.mark.parametrize("own", [False, True], ids=["nobody has it", "everybody has it"])
def test_too_few_of_either_kind_give_no_calibration_and_the_reason(own: bool) -> None:
    rows = relabelled(site(30, 5), np.full(240, own))
    made = calibrate(rows, rows, 0.5)
    assert made.recalibration is None
    assert made.probability(0.9) is None
    assert f"needs {FEWEST} of either kind" in made.reason
    assert made.judged["every"].calibrated is None
    assert made.judged["every"].raw.ece.value > 0
    assert not class_doubt({"lesion": made}, "lesion", 0.9)


def test_a_class_is_doubted_below_one_half_and_only_where_it_is_known(made: ClassCalibration) -> None:
    line = made.recalibration
    assert line is not None
    turn = float(expit(line.before[0] - line.after[0] / line.slope))
    known = {"lesion": made}
    assert not class_doubt(known, "lesion", float(expit(logit(turn) + 0.1)))
    assert class_doubt(known, "lesion", float(expit(logit(turn) - 0.1))).startswith(
        "The class is more likely wrong than right (P 0.49"
    )
    assert not class_doubt(known, "another", 0.01)
    assert not class_doubt({}, "lesion", 0.01)


@pytest.mark.parametrize("raw", [0.0, 1.0])
def test_a_probability_that_was_rounded_to_certainty_stays_a_number(made: ClassCalibration, raw: float) -> None:
    calibrated = made.probability(raw)
    assert calibrated is not None
    assert 0 < calibrated < 1
