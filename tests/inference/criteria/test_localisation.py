"""Pointing at the finding: scikit-learn, scikit-image and Quantus are the oracles."""

import numpy as np
import pytest
import quantus
from scipy.ndimage import gaussian_filter
from skimage.filters import threshold_otsu
from sklearn.metrics import auc, average_precision_score, precision_recall_curve

from inference.criteria.localisation import (
    average_precision,
    energy_in_mask,
    hit,
    iou_at,
    iou_at_otsu,
    mask_of_boxes,
    normalised_average_precision,
    overlap,
    trapezoid_auprc,
    tuned_threshold,
)
from inference.criteria.otsu import above, otsu_thresholds
from inference.errors import Refused
from tests.inference.conditions import disturbed_array

pytestmark = pytest.mark.numerics
DRAW = np.random.default_rng(3)
MASKS = np.zeros((6, 40, 48), dtype=bool)
for n in range(6):
    MASKS[n, 4 * n : 4 * n + 12, 10 : 20 + n] = True
NOISE = disturbed_array(DRAW.normal(size=MASKS.shape).astype(np.float32))
MAPS = {
    "continuous": NOISE,
    "tied": np.round(NOISE + MASKS, 1),
    "half zero": np.maximum(NOISE, 0),
    "segments": np.kron(DRAW.normal(size=(6, 5, 6)), np.ones((8, 8))).astype(np.float32),
    "blank": np.zeros(MASKS.shape, dtype=np.float32),
    "perfect": MASKS.astype(np.float32),
}


@pytest.mark.parametrize("name", MAPS)
def test_average_precision_is_scikit_learns(name):
    made = average_precision(MAPS[name], MASKS)
    oracle = [average_precision_score(k.ravel(), m.ravel()) for m, k in zip(MAPS[name], MASKS, strict=True)]
    assert made == pytest.approx(oracle, abs=1e-12)


@pytest.mark.parametrize("name", MAPS)
def test_the_legacy_area_is_scikit_learns_trapezoid(name):
    oracle = []
    for values, mask in zip(MAPS[name], MASKS, strict=True):
        precision, recall, _ = precision_recall_curve(mask.ravel(), values.ravel())
        oracle.append(auc(recall, precision))
    assert trapezoid_auprc(MAPS[name], MASKS) == pytest.approx(oracle, abs=1e-9)


def test_a_blank_map_scores_the_prevalence_and_half_by_the_legacy_form():
    mask = np.zeros((1, 320, 320), dtype=bool)
    mask[0, 100:160, 100:160] = True
    blank = np.zeros(mask.shape)
    assert average_precision(blank, mask)[0] == pytest.approx(0.0352, abs=1e-4)
    assert trapezoid_auprc(blank, mask)[0] == pytest.approx(0.518, abs=1e-3)
    assert normalised_average_precision(blank, mask)[0] == pytest.approx(0.0)
    assert normalised_average_precision(mask.astype(float), mask)[0] == 1.0


def test_empty_masks_have_no_figure():
    empty = np.zeros_like(MASKS)
    for figure in (average_precision, trapezoid_auprc, normalised_average_precision, iou_at_otsu, hit, energy_in_mask):
        assert np.isnan(figure(NOISE, empty)).all(), figure
    with pytest.raises(Refused):
        tuned_threshold(NOISE, empty)
    with pytest.raises(Refused):
        average_precision(NOISE, MASKS[:, :-1])


@pytest.mark.parametrize("name", ["continuous", "tied", "half zero", "segments", "perfect"])
def test_otsu_is_scikit_images(name):
    smooth = gaussian_filter(MAPS[name], (0, 2, 2)) if name == "continuous" else MAPS[name]
    oracle = [threshold_otsu(values.astype(np.float64)) for values in smooth]
    made = otsu_thresholds(smooth)
    assert made == pytest.approx(oracle, abs=1e-9)
    by_hand = [((m > t) & k).sum() / ((m > t) | k).sum() for m, t, k in zip(smooth, oracle, MASKS, strict=True)]
    assert iou_at_otsu(smooth, MASKS) == pytest.approx(by_hand, abs=1e-3)


def test_a_constant_map_has_no_foreground():
    blank = np.full((2, 9, 9), 0.4, dtype=np.float32)
    assert not above(blank, otsu_thresholds(blank)).any()
    assert iou_at_otsu(blank, MASKS[:2, :9, 10:19] | True).tolist() == [0.0, 0.0]


def test_the_fixed_threshold_is_of_the_scaled_map_and_is_tuned_to_the_best_mean():
    ramp = np.tile(np.linspace(5.0, 6.0, 101), (2, 3, 1))
    mask = ramp > 5.6
    assert iou_at(ramp, mask, 0.6) == pytest.approx([1.0, 1.0])
    assert tuned_threshold(ramp, mask) == pytest.approx(0.6)
    means = {t: iou_at(MAPS["tied"], MASKS, t).mean() for t in np.linspace(0.2, 0.8, 13)}
    assert iou_at(MAPS["tied"], MASKS, tuned_threshold(MAPS["tied"], MASKS)).mean() == max(means.values())


def test_a_hit_is_quantus_pointing_game_and_ties_count_their_share():
    game = quantus.PointingGame(abs=False, normalise=False, disable_warnings=True)
    values, masks = gaussian_filter(NOISE, (0, 1, 1)) + 0.3 * MASKS, MASKS
    images, labels = np.zeros((6, 1, 40, 48)), np.zeros(6, int)
    oracle = game(
        model=None, x_batch=images, y_batch=labels, a_batch=values[:, None], s_batch=masks[:, None], channel_first=True
    )
    assert hit(values, masks).tolist() == [float(x) for x in oracle]
    assert hit(MAPS["blank"], masks) == pytest.approx(masks.mean(axis=(1, 2)))


def test_energy_is_quantus_relevance_mass():
    mass = quantus.RelevanceMassAccuracy(abs=False, normalise=False, disable_warnings=True)
    values = np.abs(NOISE)
    images, labels = np.zeros((6, 1, 40, 48)), np.zeros(6, int)
    oracle = mass(
        model=None, x_batch=images, y_batch=labels, a_batch=values[:, None], s_batch=MASKS[:, None], channel_first=True
    )
    assert energy_in_mask(values, MASKS) == pytest.approx([float(x) for x in oracle], abs=1e-6)
    assert energy_in_mask(-values, MASKS).tolist() == [0.0] * 6


def test_volumes_are_scored_like_planes():
    volume = NOISE.reshape(2, 3, 40, 48)
    mask = MASKS.reshape(2, 3, 40, 48)
    assert average_precision(volume, mask) == pytest.approx(
        average_precision(volume.reshape(2, 120, 48), mask.reshape(2, 120, 48))
    )
    assert hit(volume, mask).shape == iou_at_otsu(volume, mask).shape == (2,)


def test_boxes_land_where_arun_puts_them():
    mask = mask_of_boxes([(0, 0, 1023, 1023)])
    assert mask.shape == (320, 320)
    assert mask.all()
    mask = mask_of_boxes([(100, 200, 300, 400)])
    rows, columns = np.nonzero(mask)
    assert (columns.min(), rows.min(), columns.max(), rows.max()) == (31, 62, 93, 125)


def test_overlap_of_equal_masks_is_one():
    assert overlap(MASKS, MASKS).tolist() == [1.0] * 6
