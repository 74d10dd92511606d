"""Agreement with expert masks: scikit-learn and the definitions by hand."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from sklearn.metrics import roc_auc_score

from inference.criteria.expert import (
    best_dice,
    curve_of_means,
    dice_at,
    mean_of_curves,
    pixel_roc_auc,
    region_dice,
    tuned_percent,
)
from tests.inference.conditions import disturbed_array

pytestmark = pytest.mark.numerics
DRAW = np.random.default_rng(6)
MASKS = np.zeros((5, 32, 30), dtype=bool)
for n in range(5):
    MASKS[n, 5 : 15 + n, 8:20] = True
MAPS = disturbed_array(gaussian_filter(DRAW.normal(size=MASKS.shape), (0, 2, 2)) + 0.3 * MASKS)
TIED = np.round(MAPS, 1)
REGIONS = np.kron(DRAW.permutation(5 * 16 * 15).reshape(5, 16, 15).astype(float) // 40, np.ones((2, 2)))


@pytest.mark.parametrize("maps", [MAPS, TIED, np.zeros_like(MAPS)])
def test_the_area_of_each_image_is_scikit_learns(maps):
    oracle = [roc_auc_score(k.ravel(), m.ravel()) for m, k in zip(maps, MASKS, strict=True)]
    assert pixel_roc_auc(maps, MASKS) == pytest.approx(oracle)
    assert mean_of_curves(maps, MASKS, points=2001).auc == pytest.approx(np.mean(oracle), abs=1e-3)


def test_the_curve_of_means_is_brockis_by_hand():
    scaled = MAPS - MAPS.min(axis=(1, 2), keepdims=True)
    scaled /= scaled.max(axis=(1, 2), keepdims=True)
    true, false = [0.0], [0.0]
    for threshold in np.linspace(1, 0, 100):
        chosen = scaled >= threshold - 1e-12
        true.append(np.mean([(c & k).sum() / k.sum() for c, k in zip(chosen, MASKS, strict=True)]))
        false.append(np.mean([(c & ~k).sum() / (~k).sum() for c, k in zip(chosen, MASKS, strict=True)]))
    made = curve_of_means(MAPS, MASKS)
    assert made.true_positive_rate == pytest.approx(true, abs=1e-6)
    assert made.auc == pytest.approx(np.trapezoid(true, false), abs=1e-6)


def test_the_two_areas_are_not_the_same_figure():
    rescaled = MAPS.copy()
    rescaled[:, 0, 0] = 40.0
    assert pixel_roc_auc(rescaled, MASKS) == pytest.approx(pixel_roc_auc(MAPS, MASKS), abs=0.01)
    assert abs(curve_of_means(rescaled, MASKS).auc - curve_of_means(MAPS, MASKS).auc) > 0.02


def test_empty_and_full_masks_have_no_area():
    masks = MASKS.copy()
    masks[0], masks[1] = False, True
    assert np.isnan(pixel_roc_auc(MAPS, masks)[:2]).all()
    assert curve_of_means(MAPS, masks).auc == pytest.approx(curve_of_means(MAPS[2:], MASKS[2:]).auc)
    assert mean_of_curves(MAPS, masks).auc == pytest.approx(mean_of_curves(MAPS[2:], MASKS[2:]).auc)
    assert np.isnan(region_dice(REGIONS, masks)[0]).all()


@pytest.mark.parametrize("regions", [REGIONS, MAPS, np.zeros_like(MAPS)])
def test_dice_is_the_definition_at_every_percent(regions):
    made = region_dice(regions, MASKS, percents=(1, 5, 20, 50, 100))
    for row, values, mask in zip(made, regions, MASKS, strict=True):
        for dice, percent in zip(row, (1, 5, 20, 50, 100), strict=True):
            chosen = values >= np.percentile(values, 100 - percent)
            assert dice == pytest.approx(2 * (chosen & mask).sum() / (chosen.sum() + mask.sum()))


def test_the_percent_is_chosen_on_other_images_than_those_scored():
    dice = region_dice(REGIONS, MASKS)
    chosen = tuned_percent(dice[:2])
    assert dice_at(dice, chosen)[:2].mean() == best_dice(dice[:2])
    assert dice_at(dice, chosen)[2:].mean() <= best_dice(dice[2:])
    assert best_dice(region_dice(MASKS.astype(float), MASKS)) == 1.0
