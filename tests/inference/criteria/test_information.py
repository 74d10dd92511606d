"""SIC and AIC against PAIR's own code."""

from functools import cache

import numpy as np
import pytest
from saliency.metrics import pic
from scipy.interpolate import griddata
from scipy.ndimage import gaussian_filter

from inference.criteria.information import (
    THRESHOLDS,
    Curve,
    Rejected,
    aggregate,
    grey_entropy,
    information_curves,
    random_map,
    seed_mask,
    webp_entropy,
)
from inference.criteria.reconstruct import reconstructed
from inference.errors import Refused

pytestmark = pytest.mark.numerics
SIDE = 28
PAIRS_OWN = pic.create_blurred_image


@pytest.fixture(autouse=True)
def numpy_two(monkeypatch):
    """PAIR's release calls a name that numpy 2 has no longer."""
    monkeypatch.setattr(np, "trapz", np.trapezoid, raising=False)
    monkeypatch.setattr(pic, "create_blurred_image", blurred_by_pair)


def picture(seed: int) -> np.ndarray:
    """A smooth background and a block of fine texture."""
    draw = np.random.default_rng(seed)
    texture = gaussian_filter(draw.normal(size=(SIDE, SIDE)), 3) * 6 + 0.1 * draw.normal(size=(SIDE, SIDE))
    texture[8:18, 10:22] += draw.normal(size=(10, 12))
    return (255 * (texture - texture.min()) / np.ptp(texture)).astype(np.uint8)


def probabilities(images: np.ndarray) -> np.ndarray:
    """A classifier of fine texture in the block: blurred, it is gone."""
    block = images.astype(float).reshape(len(images), SIDE, SIDE, -1).mean(axis=3)[:, 8:18, 10:22]
    positive = 1 / (1 + np.exp(-(np.abs(np.diff(block, axis=2)).mean(axis=(1, 2)) - 20) / 4))
    return np.stack([1 - positive, positive], axis=1)


@cache
def _blurred_by_pair(image: bytes, mask: bytes) -> np.ndarray:
    """PAIR's reconstruction is the slow part: each is made once for all tests of a run."""
    shape = (SIDE, SIDE)
    return PAIRS_OWN(np.frombuffer(image, np.uint8).reshape(shape), np.frombuffer(mask, bool).reshape(shape))


def blurred_by_pair(full_img, pixel_mask):
    return _blurred_by_pair(full_img.tobytes(), pixel_mask.tobytes())


def by_pair(image, values, mask, accuracy):
    def predict(images):
        found = probabilities(images)
        return (found.argmax(axis=1) == 1).astype(float) if accuracy else found[:, 1]

    return pic.compute_pic_metric(image, values, mask, predict, list(THRESHOLDS), min_pred_value=0.8)


def block_map() -> np.ndarray:
    inside = np.zeros((SIDE, SIDE))
    inside[8:18, 10:22] = 1.0
    return gaussian_filter(inside, 2) + 1e-6 * random_map(SIDE, SIDE, seed=9)


@pytest.mark.parametrize("share", [0.01, 0.2])
def test_reconstruction_is_griddatas_where_triangles_are_unique(share):
    image = picture(0)
    known = seed_mask(SIDE, SIDE, seed=1, fraction=share)
    made = reconstructed(image, known)
    oracle = pic.create_blurred_image(image, known)
    apart = np.abs(made.astype(int) - oracle)
    assert np.array_equal(made[known], image[known])
    assert (apart > 1).mean() < 0.05
    assert abs((made.astype(float) - oracle).mean()) < 0.1


def test_a_plane_is_rebuilt_exactly_by_any_triangulation():
    rows, columns = np.mgrid[:SIDE, :SIDE]
    plane = (2 * rows + columns).astype(np.uint8)
    compact = block_map() > 0.5
    for known in (seed_mask(SIDE, SIDE, seed=3, fraction=0.3), compact, np.zeros_like(compact), ~compact):
        assert np.array_equal(reconstructed(plane, known), plane)
    assert np.array_equal(reconstructed(plane, np.ones_like(compact)), plane)


def test_colour_is_rebuilt_channel_by_channel():
    image = np.stack([picture(seed) for seed in range(3)], axis=-1)
    known = seed_mask(SIDE, SIDE, seed=2, fraction=0.05)
    made = reconstructed(image, known)
    for channel in range(3):
        apart = made[..., channel].astype(int) - reconstructed(image[..., channel], known)
        assert np.abs(apart).max() <= 1


def test_dropping_known_interiors_changes_nothing_but_the_choice_between_diagonals():
    """Against griddata of all known pixels, on a mask whose interior is left out here."""
    image = picture(4)
    known = (block_map() > 0.2) | seed_mask(SIDE, SIDE, seed=5)
    known[[0, 0, -1, -1], [0, -1, 0, -1]] = True
    oracle = griddata(np.argwhere(known), image[known], np.argwhere(~known), fill_value=image.mean())
    apart = np.abs(reconstructed(image, known)[~known] - oracle)
    assert np.median(apart) <= 0.5
    assert (apart > 1).mean() < 0.05


@pytest.mark.parametrize("accuracy", [False, True])
def test_the_curves_are_pairs(accuracy):
    areas = {"ours": [], "pair": []}
    for seed in range(3):
        image, mask = picture(seed), seed_mask(SIDE, SIDE, seed=seed)
        made = information_curves(image, block_map(), mask, probabilities, target=1)
        curve = made.aic if accuracy else made.sic
        oracle = by_pair(image, block_map(), mask, accuracy)
        assert isinstance(curve, Curve)
        assert curve.x == pytest.approx(oracle.curve_x)
        assert curve.auc == pytest.approx(oracle.auc, abs=5e-3)
        areas["ours"].append(curve)
        areas["pair"].append(oracle)
    for method in ("mean", "median"):
        ours = aggregate(areas["ours"], method=method)
        assert ours.curve.auc == pytest.approx(
            pic.aggregate_individual_pic_results(areas["pair"], method=method).auc, abs=2e-3
        )
        assert (ours.kept, ours.rejected) == (3, 0)


def test_with_pairs_reconstructions_the_curve_is_equal(monkeypatch):
    """All that may differ is the choice between diagonals: with the same images the area is the same."""
    monkeypatch.setattr("inference.criteria.information.reconstructed", blurred_by_pair)
    image, mask = picture(1), seed_mask(SIDE, SIDE, seed=1)
    for saliency in (block_map(), -block_map()):
        made = information_curves(image, saliency, mask, probabilities, target=1)
        for curve, accuracy in ((made.sic, False), (made.aic, True)):
            oracle = by_pair(image, saliency, mask, accuracy)
            assert curve.auc == pytest.approx(oracle.auc, abs=1e-9)
            assert curve.y == pytest.approx(np.asarray(oracle.curve_y, dtype=float))


def test_a_map_of_the_evidence_beats_one_of_the_rest():
    image, mask = picture(1), seed_mask(SIDE, SIDE, seed=1)
    right, wrong = (information_curves(image, s * block_map(), mask, probabilities, target=1).sic for s in (1, -1))
    assert right.auc > wrong.auc + 0.2


def test_images_that_cannot_have_a_curve_are_rejected_and_counted():
    image, mask = picture(1), seed_mask(SIDE, SIDE, seed=1)
    curves = information_curves(image, block_map(), mask, probabilities, target=0)
    assert curves.sic == curves.aic == Rejected("prediction too low")
    steady = information_curves(image, block_map(), mask, lambda x: np.tile([0.1, 0.9], (len(x), 1)), target=1)
    assert steady.sic == Rejected("blurred prediction not lower")
    flat = np.full((SIDE, SIDE), 90, dtype=np.uint8)
    assert information_curves(
        flat, block_map(), mask, lambda x: np.tile([0.1, 0.9], (len(x), 1)), target=1
    ).sic == Rejected("blurred image not simpler")
    good = information_curves(image, block_map(), mask, probabilities, target=1).sic
    assert aggregate([good, steady.sic], method="mean").rejected == 1
    with pytest.raises(Refused):
        aggregate([steady.sic], method="mean")
    with pytest.raises(Refused):
        information_curves(image.astype(float), block_map(), mask, probabilities, target=1)


def test_entropies_are_pairs_webp_and_the_histograms():
    image = picture(2)
    assert webp_entropy(image) == pic.estimate_image_entropy(image)
    assert grey_entropy(np.arange(256, dtype=np.uint8).reshape(16, 16)) == pytest.approx(8.0)


def test_the_seed_mask_has_its_share_and_its_seed():
    mask = seed_mask(100, 80, seed=1)
    assert mask.sum() == 80
    assert np.array_equal(mask, seed_mask(100, 80, seed=1))
    assert np.array_equal(random_map(9, 9, seed=1), random_map(9, 9, seed=1))


def test_a_blank_map_reveals_everything_at_once_and_scores_half():
    image, mask = picture(1), seed_mask(SIDE, SIDE, seed=1)
    curves = information_curves(image, np.zeros((SIDE, SIDE)), mask, probabilities, target=1)
    assert curves.sic.auc == pytest.approx(0.5, abs=1e-3)
