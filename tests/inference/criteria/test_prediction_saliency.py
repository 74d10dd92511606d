"""Prediction-saliency correlation on a linear model, by hand."""

import numpy as np
import pytest
import torch

from inference.criteria.agreement import spearman
from inference.criteria.prediction_saliency import BOUND, CANDIDATES, correlation, keeping, log_odds, moving

SHAPE = (2, 24, 24)
WEIGHT = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
IMAGE = torch.rand(SHAPE, generator=torch.Generator().manual_seed(1)) * 5
SPAN = float(IMAGE.max() - IMAGE.min())


def predicted(images: torch.Tensor) -> np.ndarray:
    return np.asarray((images.double() * WEIGHT.double()).flatten(1).sum(dim=1).numpy())


def changes(maps: torch.Tensor, own: torch.Tensor) -> np.ndarray:
    return 1 - spearman(own.numpy(), maps.numpy())


def test_every_perturbation_has_the_size_of_the_bound_at_every_value() -> None:
    for perturbed in (moving(IMAGE, WEIGHT, count=5, seed=2), keeping(IMAGE, predicted, count=3, seed=2)):
        assert torch.allclose((perturbed - IMAGE).abs(), torch.full_like(perturbed, BOUND * SPAN), atol=1e-5)


def test_a_moving_perturbation_moves_a_linear_logit_by_its_share_of_the_weights_sum() -> None:
    moved = moving(IMAGE, WEIGHT, count=40, seed=3)
    falls = predicted(IMAGE[None]) - predicted(moved)
    most = BOUND * SPAN * float(WEIGHT.abs().sum())
    against = ((moved - IMAGE).sign() == -WEIGHT.sign()).double().mean(dim=(1, 2, 3)).numpy()
    shares = 2 * against - 1  # what is random goes against the gradient at half of the values
    assert falls.max() <= most * (1 + 1e-6)
    assert np.abs(falls / most - shares).max() < 0.1
    assert shares.min() < 0.2
    assert shares.max() > 0.8


def test_a_keeping_perturbation_moves_it_by_next_to_nothing() -> None:
    kept = keeping(IMAGE, predicted, count=4, seed=4)
    drawn = keeping(IMAGE, predicted, count=4 * CANDIDATES, seed=4)
    before = predicted(IMAGE[None])
    most = BOUND * SPAN * float(WEIGHT.abs().sum())
    assert np.abs(predicted(kept) - before).max() < 0.02 * most
    assert np.abs(predicted(kept) - before).mean() < 0.8 * np.abs(predicted(drawn) - before).mean()


def test_the_gradient_of_a_linear_model_is_wholly_robust_and_has_no_sensitivity() -> None:
    moved = moving(IMAGE, WEIGHT, count=8, seed=5)
    own = WEIGHT.sum(dim=0)
    followed = changes(own.expand(8, *own.shape), own)
    assert np.abs(followed).max() < 1e-12
    assert correlation(predicted(moved) - predicted(IMAGE[None]), followed) == 0


def test_a_map_that_moves_with_the_logit_has_sensitivity_and_one_that_moves_by_itself_has_none() -> None:
    moved, before = moving(IMAGE, WEIGHT, count=30, seed=6), predicted(IMAGE[None])
    fallen = before - predicted(moved)
    own = (WEIGHT * IMAGE).sum(dim=0)
    noise = torch.randn(30, *own.shape, generator=torch.Generator().manual_seed(7))
    noisy = correlation(fallen, changes(own + 0.3 * noise, own))
    following = own - torch.from_numpy(fallen)[:, None, None] * noise[0] / fallen.max()
    assert correlation(fallen, changes(following, own)) > 0.9
    assert abs(noisy) < 0.4


def test_correlation_is_pearsons_and_says_where_it_is_not_defined() -> None:
    first, second = np.random.default_rng(0).normal(size=(2, 9))
    assert correlation(first, second) == pytest.approx(np.corrcoef(first, second)[0, 1])
    assert correlation(first, np.full(9, 0.3)) == 0
    assert np.isnan(correlation(np.zeros(9), second))


def test_log_odds_are_those_of_softmax_and_sigmoid_and_do_not_saturate() -> None:
    logits = torch.tensor([[1.0, -2.0, 0.5], [40.0, -3.0, 2.0]])
    odds = logits.double().softmax(dim=1)[:, 0]
    assert log_odds(logits, 0, excluding=True)[0] == pytest.approx(float((odds / (1 - odds)).log()[0]))
    assert log_odds(logits, 0, excluding=True)[1] == pytest.approx(38.0, abs=0.01)
    assert log_odds(logits, 2, excluding=False).tolist() == [0.5, 2.0]
