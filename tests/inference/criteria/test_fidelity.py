"""Removal by rank, and ROAD against the imputers of Quantus and of a plain sparse solve."""

import numpy as np
import pytest
import quantus
import torch
from quantus.functions.perturb_func import noisy_linear_imputation
from scipy.ndimage import gaussian_filter

from inference.criteria.fidelity import blur_fill, fixed_fill, label_fill, mean_fill, ranks, removal, undecided_blur
from inference.criteria.road import imputation, road
from inference.errors import Refused
from tests.inference.conditions import disturbed

pytestmark = pytest.mark.numerics
SIDE = 20
DRAW = np.random.default_rng(8)
LIT = np.zeros((SIDE, SIDE), dtype=bool)
LIT[5:11, 6:12] = True
IMAGES = torch.from_numpy(DRAW.random((4, 1, SIDE, SIDE)).astype(np.float32) * 0.1)
IMAGES[:2, 0, torch.from_numpy(LIT)] += 0.9
IMAGES = disturbed(IMAGES)
TARGETS = [1, 1, 0, 0]


def predict(images: torch.Tensor) -> torch.Tensor:
    """Class 1 in proportion to the light in the block."""
    light = images[:, 0, torch.from_numpy(LIT)].mean(dim=1)
    positive = torch.sigmoid(10 * (light - 0.5))
    return torch.stack([1 - positive, positive], dim=1)


def evidence() -> np.ndarray:
    return np.tile(LIT.astype(np.float32), (4, 1, 1))


def test_ranks_order_by_value_and_draw_ties_by_a_seeded_lot():
    values = np.round(np.random.default_rng(9).normal(size=(3, 9, 9)), 1)
    places = ranks(values, seed=1)
    for row, place in zip(values.reshape(3, -1), places.reshape(3, -1), strict=True):
        assert sorted(place) == list(range(81))
        assert (np.diff(row[np.argsort(place)]) <= 0).all()
    blank = np.zeros((2, 9, 9))
    assert np.array_equal(ranks(blank, seed=1), ranks(blank, seed=1))
    assert not np.array_equal(ranks(blank, seed=1), ranks(blank, seed=2))
    assert not np.array_equal(*ranks(blank, seed=1))


def test_curves_start_at_the_image_and_end_at_the_fill():
    made = removal(IMAGES, evidence(), predict, TARGETS, mean_fill(IMAGES), seed=0)
    assert made.shares[1] == pytest.approx(0.025)
    own, filled = (predict(x).numpy()[range(4), TARGETS] for x in (IMAGES, mean_fill(IMAGES)))
    for curves in (made.most_first, made.least_first):
        assert curves.shape == (4, 41)
        assert curves[:, 0] == pytest.approx(own)
        assert curves[:, -1] == pytest.approx(filled)


def test_a_map_of_the_evidence_has_high_fidelity_and_its_opposite_none():
    made = removal(IMAGES[:2], evidence()[:2], predict, [1, 1], fixed_fill(IMAGES[:2], 0.0), seed=0)
    wrong = removal(IMAGES[:2], -evidence()[:2], predict, [1, 1], fixed_fill(IMAGES[:2], 0.0), seed=0)
    assert made.fidelity([1, 1]) > 0.8
    assert wrong.fidelity([1, 1]) < -0.8
    assert (made.insertion > 0.85).all()
    assert (made.deletion < 0.15).all()
    assert made.probability_fidelity == pytest.approx(made.insertion - made.deletion)


def test_fidelity_is_averaged_over_classes():
    fills = label_fill(IMAGES, TARGETS, [1.0, 0.0])
    assert fills[:2].unique().tolist() == [0.0]
    assert fills[2:].unique().tolist() == [1.0]
    made = removal(IMAGES, evidence(), predict, TARGETS, fills, seed=0)
    each = [
        removal(IMAGES[rows], evidence()[rows], predict, TARGETS[rows], fills[rows], seed=0).fidelity(TARGETS[rows])
        for rows in (slice(0, 2), slice(2, 4))
    ]
    assert made.fidelity(TARGETS) == pytest.approx(np.mean(each), abs=0.01)


def test_the_case_form_is_marchadours_for_two_classes():
    made = removal(IMAGES, evidence(), predict, TARGETS, undecided_blur(IMAGES, predict, TARGETS), seed=0)
    by_hand = 1 - (np.abs(1 - made.insertion) + np.abs(0.5 - made.deletion)) / 1.5
    assert made.case_fidelity == pytest.approx(by_hand)
    assert ((made.case_fidelity >= 0) & (made.case_fidelity <= 1)).all()


def test_the_undecided_blur_is_the_nearest_to_chance():
    fills = undecided_blur(IMAGES, predict, TARGETS)
    wanted = np.abs(predict(fills).numpy()[range(4), TARGETS] - 0.5)
    for sigma in (2.0, 4.0, 8.0, 16.0, 32.0, 64.0):
        others = np.abs(predict(blur_fill(IMAGES, sigma)).numpy()[range(4), TARGETS] - 0.5)
        assert (wanted <= others + 1e-6).all()


def test_a_map_that_ties_is_not_removed_all_at_once():
    blank = np.zeros((1, SIDE, SIDE), dtype=np.float32)
    curve = removal(IMAGES[:1], blank, predict, [1], fixed_fill(IMAGES[:1], 0.0), seed=3).most_first[0]
    assert curve[4] > 0.8
    assert curve[20] > curve[-1] + 0.1


def test_volumes_are_removed_from_like_planes_and_misfits_are_refused():
    volumes = IMAGES.reshape(2, 1, 2, SIDE, SIDE)

    def by_volume(images):
        return predict(images[:, :, 0])

    made = removal(volumes, evidence().reshape(2, 2, SIDE, SIDE), by_volume, [1, 0], mean_fill(volumes), seed=0)
    assert made.most_first.shape == (2, 41)
    with pytest.raises(Refused):
        removal(IMAGES, evidence()[:, 1:], predict, TARGETS, mean_fill(IMAGES), seed=0)
    with pytest.raises(Refused):
        road(volumes, evidence(), predict, TARGETS, seed=0)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("sigma", [0, 6])
def test_the_imputation_is_quantus(share, sigma):
    draw = np.random.default_rng(2)
    image = gaussian_filter(draw.normal(size=(2, 48, 56)), (0, 2, 2)) * 5 + 3
    order = np.argsort(-gaussian_filter(draw.normal(size=(48, 56)), sigma).ravel())
    removed = order[: int(share * order.size)]
    mask = np.zeros(order.size, dtype=bool)
    mask[removed] = True
    oracle = noisy_linear_imputation(image.copy(), removed, noise=0.0).reshape(image.shape)
    assert imputation(image, mask.reshape(48, 56)) == pytest.approx(oracle, abs=1e-3)


def test_imputation_of_nothing_everything_and_constants():
    image = np.random.default_rng(10).normal(size=(1, 12, 12)).astype(np.float32)
    assert np.array_equal(imputation(image, np.zeros((12, 12), bool)), image)
    assert imputation(image, np.ones((12, 12), bool)) == pytest.approx(np.full((1, 12, 12), image.mean()), abs=1e-6)
    constant = np.full((1, 12, 12), 2.5, dtype=np.float32)
    corner = np.zeros((12, 12), dtype=bool)
    corner[:4, :4] = True
    assert imputation(constant, corner) == pytest.approx(constant)
    ramp = np.tile(np.arange(12, dtype=np.float32), (1, 12, 1))
    corner[:] = False
    corner[4:7, 4:7] = True
    assert imputation(ramp, corner) == pytest.approx(ramp, abs=1e-3)


def test_road_without_noise_is_quantus_accuracy_curve():
    percentages = [10, 30, 50, 70, 90]
    maps = gaussian_filter(evidence(), (0, 1, 1)) + 1e-3 * np.random.default_rng(11).random((4, SIDE, SIDE))

    class Model(torch.nn.Module):
        def forward(self, images):
            return torch.log(predict(images) + 1e-9)

    oracle = quantus.ROAD(percentages=percentages, noise=0.0, normalise=False, disable_warnings=True)(
        model=Model().eval(),
        x_batch=IMAGES.numpy(),
        y_batch=np.array(TARGETS),
        a_batch=maps[:, None].astype(np.float32),
        channel_first=True,
        device="cpu",
    )
    made = road(IMAGES, maps, predict, TARGETS, seed=0, shares=[p / 100 for p in percentages], noise=0.0)
    right = (made.most_first > 0.5).mean(axis=0)
    assert right == pytest.approx([oracle[p] for p in percentages])


def test_road_prefers_the_evidence_and_is_seeded():
    made = road(IMAGES[:2], evidence()[:2], predict, [1, 1], seed=4)
    wrong = road(IMAGES[:2], -evidence()[:2], predict, [1, 1], seed=4)
    assert (made.combined > 0.2).all()
    assert wrong.combined == pytest.approx(-made.combined, abs=0.05)
    again = road(IMAGES[:2], evidence()[:2], predict, [1, 1], seed=4)
    assert np.array_equal(made.most_first, again.most_first)
    assert made.most_first.shape == (2, 9)
