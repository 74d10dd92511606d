"""Infidelity and largest sensitivity on a linear model by hand, and as captum computes them."""

import numpy as np
import pytest
import torch
from captum.metrics import infidelity as captums

from inference.criteria.infidelity import infidelity, largest_sensitivity

SHAPE = (2, 20, 16)
WEIGHT = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
IMAGE = torch.rand(SHAPE, generator=torch.Generator().manual_seed(1)) * 3
COVER = torch.full(SHAPE, float(IMAGE.min()))
CONTRIBUTIONS = (WEIGHT * (IMAGE - COVER)).sum(dim=0).numpy()


def logit(images: torch.Tensor) -> torch.Tensor:
    return (images * WEIGHT).flatten(1).sum(dim=1) - 7


def of(saliency: np.ndarray, network=logit) -> float:
    return infidelity(IMAGE, COVER, saliency, network, samples=40, seed=3)


def test_the_contributions_to_a_linear_logit_leave_nothing_unexplained_at_any_scale() -> None:
    for scale in (1.0, 250.0):
        assert of(CONTRIBUTIONS * scale) == pytest.approx(0, abs=1e-6)


def test_a_map_of_the_opposite_or_of_nothing_explains_nothing() -> None:
    assert of(-CONTRIBUTIONS) == 1
    assert of(np.zeros_like(CONTRIBUTIONS)) == 1


def test_a_map_of_half_the_truth_lies_between() -> None:
    noise = np.random.default_rng(0).normal(size=CONTRIBUTIONS.shape) * CONTRIBUTIONS.std()
    assert 0.05 < of(CONTRIBUTIONS + noise) < 0.95
    assert of(CONTRIBUTIONS + 0.2 * noise) < of(CONTRIBUTIONS + noise)


def test_a_logit_that_no_box_moves_has_no_figure() -> None:
    assert np.isnan(of(CONTRIBUTIONS, lambda images: torch.ones(len(images))))


def test_it_is_captums_figure_over_the_mean_square_of_the_falls() -> None:
    saliency = CONTRIBUTIONS + np.random.default_rng(1).normal(size=CONTRIBUTIONS.shape)
    kept: list[torch.Tensor] = []

    def noted(images: torch.Tensor) -> torch.Tensor:
        kept.append(images)
        return logit(images)

    ours = of(saliency, noted)
    covered = next(images for images in kept if len(images) == 40)
    boxes = (covered != IMAGE).any(dim=1).double()
    theirs = captums(
        lambda shown: logit((COVER + (IMAGE - COVER) * shown[:, None]).float()).double(),
        lambda ones: (boxes, ones - boxes),
        torch.ones(1, *SHAPE[1:]).double(),
        torch.from_numpy(saliency)[None],
        n_perturb_samples=40,
        normalize=True,
    )
    falls = (logit(IMAGE[None]) - logit(covered)).double()
    assert ours == pytest.approx(float(theirs[0] / falls.square().mean()), rel=1e-4)


def test_largest_sensitivity_is_the_largest_distance_as_a_share_of_the_maps_length() -> None:
    own = np.array([[3.0, 0.0], [0.0, 4.0]])
    moved = np.stack([own, own + np.array([[0.0, 1.0], [0.0, 0.0]]), own * 1.5])
    assert largest_sensitivity(own, moved) == pytest.approx(0.5)
    assert largest_sensitivity(own, own[None]) == 0
