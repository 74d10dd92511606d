"""Gaze: pysaliency's two formulas written again from its documentation, scikit-learn's weighted AUC, and by hand."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from sklearn.metrics import roc_auc_score

from inference.criteria.centrebias import centre_bias, hull_of_lungs
from inference.criteria.gaze import Fixations, density_auc, gaze_map, ncc, other_readers, shuffled_auc, shuffled_ncc
from inference.errors import Refused

pytestmark = pytest.mark.numerics
DRAW = np.random.default_rng(12)
SALIENCY = gaussian_filter(DRAW.normal(size=(4, 40, 50)), (0, 3, 3))
GAZE = np.exp(4 * gaussian_filter(DRAW.normal(size=(4, 40, 50)), (0, 4, 4)))
GAZE /= GAZE.sum(axis=(1, 2), keepdims=True)
BIAS = np.exp(-((np.mgrid[:40, :50] - np.array([20, 25])[:, None, None]) ** 2).sum(axis=0) / 200)[None].repeat(4, 0)


def pysaliency_cc(first, second):
    """Correlation coefficient of the two maps, each brought to mean 0 and deviation 1."""
    one, two = ((values - values.mean()) / values.std() for values in (first, second))
    return (one * two).mean()


def pysaliency_sauc(positives, negatives):
    """AUC of the saliency at fixations against the saliency at nonfixations, ties half."""
    apart = positives[:, None] - negatives[None]
    return ((apart > 0) + 0.5 * (apart == 0)).mean()


def test_ncc_is_pysaliencys_cc():
    oracle = [pysaliency_cc(g, s) for g, s in zip(GAZE, SALIENCY, strict=True)]
    assert ncc(GAZE, SALIENCY) == pytest.approx(oracle)
    assert ncc(np.ones_like(GAZE), SALIENCY).tolist() == [0.0] * 4
    shuffled = [pysaliency_cc(g, s) - pysaliency_cc(b, s) for g, s, b in zip(GAZE, SALIENCY, BIAS, strict=True)]
    assert shuffled_ncc(GAZE, SALIENCY, BIAS) == pytest.approx(shuffled)


@pytest.mark.parametrize("maps", [SALIENCY, np.round(SALIENCY, 1), np.zeros_like(SALIENCY)])
def test_the_auc_is_scikit_learns_with_weights(maps):
    for bias in (np.ones_like(BIAS), BIAS):
        oracle = [
            roc_auc_score(
                np.repeat([1, 0], s.size),
                np.tile(s.ravel(), 2),
                sample_weight=np.concatenate([g.ravel() / g.sum(), b.ravel() / b.sum()]),
            )
            for g, s, b in zip(GAZE, maps, bias, strict=True)
        ]
        assert density_auc(GAZE, maps, bias) == pytest.approx(oracle, abs=1e-6)
    assert shuffled_auc(GAZE, maps, BIAS) == pytest.approx(oracle, abs=1e-6)
    assert density_auc(GAZE, maps) == pytest.approx(density_auc(GAZE, maps, np.ones_like(GAZE)))


def test_the_exact_auc_is_the_expectation_of_the_drawn_one():
    values, draw = SALIENCY[0].ravel(), np.random.default_rng(13)
    drawn = [
        pysaliency_sauc(
            values[draw.choice(values.size, 400, p=GAZE[0].ravel())],
            values[draw.choice(values.size, 400, p=BIAS[0].ravel() / BIAS[0].sum())],
        )
        for _ in range(40)
    ]
    assert density_auc(GAZE[:1], SALIENCY[:1], BIAS[:1])[0] == pytest.approx(np.mean(drawn), abs=0.012)


def test_gaze_without_weight_has_no_auc():
    assert np.isnan(density_auc(np.zeros_like(GAZE), SALIENCY)).all()


def test_a_fixation_is_a_bell_of_one_degree_within_what_was_shown():
    fixations = Fixations(
        x=np.array([30.0, 80.0]),
        y=np.array([20.0, 60.0]),
        duration_seconds=np.array([1.0, 3.0]),
        pixels_per_degree_x=np.array([4.0, 4.0]),
        pixels_per_degree_y=np.array([6.0, 6.0]),
        shown=np.array([[0, 0, 120, 100], [80, 0, 120, 100.0]]),
    )
    made = gaze_map(fixations, height=100, width=120)
    assert made.sum() == pytest.approx(1.0)
    assert made[20, 34] / made[20, 30] == pytest.approx(np.exp(-0.5))
    assert made[26, 30] / made[20, 30] == pytest.approx(np.exp(-0.5))
    assert made[60, 80] / made[20, 30] == pytest.approx(3.0)
    assert made[60, 79] == pytest.approx(0.0, abs=1e-12)
    nothing = Fixations(*(np.zeros(0),) * 5, shown=np.zeros((0, 4)))
    assert (gaze_map(nothing, height=5, width=5) == 0).all()


def test_a_reader_is_compared_with_the_others_alone():
    made = other_readers(GAZE)
    assert made[1] == pytest.approx(GAZE[[0, 2, 3]].mean(axis=0))
    with pytest.raises(Refused):
        other_readers(GAZE[:1])


def chest(x0, y0, scale, shape=(80, 90)):
    """Gaze on the left and the right third of a chest box."""
    box = (x0, y0, x0 + 40 * scale, y0 + 40 * scale)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    made = np.zeros(shape)
    for third in (1 / 3, 2 / 3):
        centre = (y0 + 20 * scale, x0 + 40 * scale * third)
        made += np.exp(-((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / (2 * (3 * scale) ** 2))
    return made / made.sum(), box


def test_the_centre_bias_follows_the_chest_and_leaves_its_own_patient_out():
    places = [(10, 12, 1.0), (30, 20, 1.2), (20, 15, 0.8), (25, 25, 1.1)]
    maps, boxes = zip(*(chest(*place) for place in places), strict=True)
    bias = centre_bias(maps, boxes, ["a", "b", "c", "d"])
    for index, patient in enumerate("abcd"):
        made = bias.on(80, 90, boxes[index], without=patient)
        assert made.sum() == pytest.approx(1.0)
        assert ncc(made[None], maps[index][None])[0] > 0.98
    odd = centre_bias((np.eye(80, 90) / 80, *maps[1:]), boxes, ["a", "b", "c", "d"])
    own = odd.on(80, 90, boxes[0], without="a")
    assert ncc(own[None], maps[0][None])[0] > 0.98
    assert ncc(odd.on(80, 90, boxes[0], without="b")[None], maps[0][None])[0] < 0.95


def test_a_single_patient_has_no_centre_bias_of_its_own():
    made, box = chest(10, 12, 1.0)
    with pytest.raises(Refused):
        centre_bias([made], [box], ["a"]).on(80, 90, box, without="a")
    with pytest.raises(Refused):
        centre_bias([], [], [])


def test_the_hull_of_the_lungs_spans_both_and_drops_what_is_small_or_at_the_border():
    lungs = np.zeros((100, 100), dtype=bool)
    lungs[20:70, 15:40] = lungs[20:70, 60:85] = True
    lungs[40:42, 20:22] = False
    lungs[90:92, 50:52] = True
    lungs[0:15, 90:100] = True
    hull = hull_of_lungs(lungs)
    assert hull[20:70, 15:85].all()
    assert hull.sum() == 50 * 70
    assert not hull_of_lungs(np.zeros((20, 20), dtype=bool)).any()
