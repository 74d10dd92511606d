"""Agreement of pairs, SSIM, and the pairs that make a null."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr
from skimage.filters import threshold_otsu
from skimage.metrics import structural_similarity

from inference.criteria.agreement import hottest_overlap, hottest_overlap_pairs, otsu_overlap_pairs, spearman_pairs
from inference.criteria.pairs import null_pairs
from inference.criteria.ssim import DATA_RANGE, LEGACY_DATA_RANGE, ssim
from inference.errors import Refused
from inference.saliency.engine.profiles import legacy_normalised
from tests.inference.conditions import disturbed_array

pytestmark = pytest.mark.numerics
DRAW = np.random.default_rng(5)
FIRST = disturbed_array(gaussian_filter(DRAW.normal(size=(6, 64, 71)), (0, 2, 2)))
SECOND = (FIRST + 0.1 * DRAW.normal(size=FIRST.shape)).astype(np.float32)
ONE, TWO = legacy_normalised(FIRST), legacy_normalised(SECOND)


def test_pairs_are_rank_correlated_as_scipy_does():
    tied = np.round(ONE, 1)
    oracle = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(tied, TWO, strict=True)]
    assert spearman_pairs(tied, TWO) == pytest.approx(oracle)
    assert spearman_pairs(np.zeros_like(ONE), TWO).tolist() == [0.0] * 6


def test_overlaps_of_pairs_are_those_of_single_maps():
    single = [float(hottest_overlap(a, b[None], seed=1)[0]) for a, b in zip(FIRST, SECOND, strict=True)]
    assert hottest_overlap_pairs(FIRST, SECOND, seed=9) == pytest.approx(single)
    above = [(a > threshold_otsu(a), b > threshold_otsu(b)) for a, b in zip(FIRST, SECOND, strict=True)]
    oracle = [(a & b).sum() / (a | b).sum() for a, b in above]
    assert otsu_overlap_pairs(FIRST, SECOND) == pytest.approx(oracle, abs=1e-3)


@pytest.mark.parametrize("data_range", [DATA_RANGE, LEGACY_DATA_RANGE])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_ssim_is_scikit_images(data_range, kind):
    one, two = ONE.astype(kind), TWO.astype(kind)
    oracle = [structural_similarity(a, b, data_range=data_range) for a, b in zip(one, two, strict=True)]
    assert ssim(one, two, data_range=data_range) == pytest.approx(oracle, abs=1e-5)
    assert ssim(one, one, data_range=data_range) == pytest.approx(np.ones(6))


def test_ssim_of_flat_maps_keeps_its_precision():
    one, two = np.zeros((1, 320, 320), np.float32), np.zeros((1, 320, 320), np.float32)
    one[0, 20:40, 20:40], two[0, 200:220, 200:220] = 1.0, 0.999
    oracle = structural_similarity(one[0].astype(float), two[0].astype(float), data_range=1.0)
    assert ssim(one, two, data_range=1.0)[0] == pytest.approx(oracle, abs=1e-5)
    assert oracle > 0.95


def test_ssim_of_volumes_is_scikit_images():
    one, two = disturbed_array(np.random.default_rng(6).random((2, 2, 9, 70, 12)))
    oracle = [structural_similarity(a, b, data_range=1.0) for a, b in zip(one, two, strict=True)]
    assert ssim(one, two, data_range=1.0) == pytest.approx(oracle, abs=1e-9)


def test_ssim_refuses_what_its_window_does_not_fit():
    with pytest.raises(Refused):
        ssim(np.zeros((1, 6, 20)), np.zeros((1, 6, 20)), data_range=1.0)
    with pytest.raises(Refused):
        ssim(np.zeros((1, 9, 20)), np.zeros((1, 9, 21)), data_range=1.0)


def test_the_legacy_picture_is_pairs():
    from saliency.core.visualization import VisualizeImageGrayscale

    volume = FIRST[0][..., None]
    oracle = VisualizeImageGrayscale(volume, percentile=99)
    assert np.allclose(legacy_normalised(FIRST[:1])[0], oracle, atol=1e-6)
    assert (legacy_normalised(np.zeros((1, 8, 8))) == 0).all()
    spike = np.zeros((1, 100, 100))
    spike[0, 0, 0] = 5.0
    assert legacy_normalised(spike).sum() == 1.0


def test_null_pairs_are_of_different_patients_and_the_same_class():
    patients = np.repeat(np.arange(12), 4)
    classes = np.tile([0, 0, 1, 2], 12)
    pairs = null_pairs(patients, classes, seed=3, count=80)
    assert len(pairs) == 80
    assert (patients[pairs.first] != patients[pairs.second]).all()
    assert (classes[pairs.first] == classes[pairs.second]).all()
    assert len({frozenset(pair) for pair in zip(pairs.first, pairs.second, strict=True)}) == 80
    again = null_pairs(patients, classes, seed=3, count=80)
    assert np.array_equal(pairs.first, again.first)
    assert not np.array_equal(pairs.first, null_pairs(patients, classes, seed=4, count=80).first)


def test_few_pairs_are_all_used_and_none_is_refused():
    assert len(null_pairs(["a", "b", "c"], seed=0)) == 3
    with pytest.raises(Refused):
        null_pairs(["a", "a"], seed=0)
    with pytest.raises(Refused):
        null_pairs(["a", "b"], ["x", "y"], seed=0)


def test_many_rows_are_drawn_from_without_listing_every_pair():
    pairs = null_pairs(np.arange(5000) // 2, seed=1, count=50)
    assert len(pairs) == 50
    assert (pairs.first // 2 != pairs.second // 2).all()
