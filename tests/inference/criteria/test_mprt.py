"""sMPRT, eMPRT and RandomLogit against Quantus."""

import copy

import numpy as np
import pytest
import quantus
import torch
from quantus.functions.complexity_func import discrete_entropy
from quantus.functions.similarity_func import correlation_spearman
from quantus.helpers.model.pytorch_model import PyTorchModel
from torch import nn

from inference.criteria.mprt import (
    class_contrast,
    efficient_mprt,
    entropy_rise,
    freedman_diaconis_bins,
    histogram_entropy,
    other_classes,
    smooth_mprt,
    smoothed,
)
from inference.errors import Refused
from tests.inference.conditions import disturbed, disturbed_network

pytestmark = pytest.mark.numerics
IMAGES = disturbed(torch.rand(4, 1, 16, 16, generator=torch.Generator().manual_seed(2)))
TARGETS = np.array([0, 1, 1, 0])


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(3)
    made = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.Tanh(),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(1024, 8),
        nn.Tanh(),
        nn.Linear(8, 2),
    )
    return disturbed_network(made).eval()


def gradients(model: nn.Module, inputs: torch.Tensor, targets: np.ndarray = TARGETS) -> np.ndarray:
    inputs = inputs.detach().clone().requires_grad_()
    picked = model(inputs).gather(1, torch.as_tensor(targets)[:, None]).sum()
    return torch.autograd.grad(picked, inputs)[0][:, 0].numpy()


def for_quantus(model, inputs, targets, **_):
    return gradients(model, torch.as_tensor(inputs, dtype=torch.float32), np.asarray(targets))[:, None]


def by_quantus(network, *, samples, noise):
    """Quantus explains by captum's gradient here, whatever function it is given."""
    np.random.seed(0)
    return quantus.SmoothMPRT(nr_samples=samples, noise_magnitude=noise, disable_warnings=True, seed=42)(
        model=copy.deepcopy(network),
        x_batch=IMAGES.numpy(),
        y_batch=TARGETS,
        explain_func=quantus.explain,
        explain_func_kwargs={"method": "Gradient"},
        channel_first=True,
        device="cpu",
    )


def test_without_noise_smooth_mprt_is_quantus_state_by_state(network):
    oracle = by_quantus(network, samples=2, noise=0.0)
    states = PyTorchModel(network, channel_first=True).get_random_layer_generator(order="bottom_up", seed=42)
    made = smooth_mprt(network, gradients, IMAGES, seed=0, samples=2, noise=0.0, states=states)
    assert set(made.states) == set(oracle) - {"original"}
    for name, row in zip(made.states, made.spearman, strict=True):
        assert row == pytest.approx(oracle[name], abs=1e-3)


def test_with_noise_the_same_states_give_quantus_correlations_within_its_noise(network):
    oracle = by_quantus(network, samples=30, noise=0.05)
    states = PyTorchModel(network, channel_first=True).get_random_layer_generator(order="bottom_up", seed=42)
    made = smooth_mprt(network, gradients, IMAGES, seed=0, samples=30, noise=0.05, states=states)
    for name, row in zip(made.states, made.spearman, strict=True):
        assert row == pytest.approx(oracle[name], abs=0.03)


def test_smoothing_is_seeded_and_a_single_sample_is_the_map(network):
    assert np.allclose(smoothed(gradients, network, IMAGES, seed=1, samples=1), gradients(network, IMAGES))
    first = smoothed(gradients, network, IMAGES, seed=1, samples=4)
    assert np.array_equal(first, smoothed(gradients, network, IMAGES, seed=1, samples=4))
    assert not np.array_equal(first, smoothed(gradients, network, IMAGES, seed=2, samples=4))


def test_the_cascade_of_smooth_mprt_goes_from_the_input_up(network):
    made = smooth_mprt(network, gradients, IMAGES, seed=0, samples=2)
    assert made.states == ("0", "2", "5", "7")
    assert made.average == pytest.approx(made.spearman.mean(axis=0))
    assert np.array_equal(made.last, made.spearman[-1])


def test_entropy_is_quantus(network):
    maps = gradients(network, IMAGES)
    oracle = [discrete_entropy(values, values, n_bins=100) for values in maps]
    assert histogram_entropy(maps) == pytest.approx(oracle, abs=1e-3)
    assert histogram_entropy(np.zeros((1, 5, 5))).tolist() == [0.0]
    ramp = np.arange(10_000.0).reshape(1, 100, 100)
    assert histogram_entropy(ramp)[0] == pytest.approx(np.log(100))


def test_efficient_mprt_is_the_rise_of_quantus_entropies(network):
    from inference.saliency.controls.random_weights import randomised

    maps, disturbed = gradients(network, IMAGES), gradients(randomised(network, seed=5), IMAGES)
    before, after = ([discrete_entropy(v, v, n_bins=100) for v in m] for m in (maps, disturbed))
    made = efficient_mprt(network, gradients, IMAGES, seed=5)
    assert made == pytest.approx((np.array(after) - before) / before, abs=1e-3)
    assert np.isnan(entropy_rise(np.zeros((1, 5, 5)), np.ones((1, 5, 5)))).all()
    peaked = np.zeros((1, 64, 64))
    peaked[0, 30:34, 30:34] = 1.0
    assert entropy_rise(peaked, np.random.default_rng(0).random((1, 64, 64)))[0] > 1


def test_bins_by_rule_stay_within_bounds():
    draw = np.random.default_rng(1)
    assert 10 <= freedman_diaconis_bins(draw.normal(size=(3, 64, 64))) <= 200
    assert freedman_diaconis_bins(np.zeros((2, 8, 8))) == 200


def test_class_contrast_is_one_less_quantus_random_logit(network):
    random_logit = quantus.RandomLogit(num_classes=2, similarity_func=correlation_spearman, disable_warnings=True)
    maps, others = gradients(network, IMAGES), gradients(network, IMAGES, 1 - TARGETS)
    oracle = random_logit(
        model=network,
        x_batch=IMAGES.numpy(),
        y_batch=TARGETS,
        a_batch=maps[:, None],
        explain_func=for_quantus,
        device="cpu",
    )
    assert random_logit.normalise
    assert class_contrast(maps, others) == pytest.approx(1 - np.maximum(oracle, 0), abs=1e-3)
    assert class_contrast(maps, maps) == pytest.approx(np.zeros(4))


def test_the_other_class_is_never_its_own():
    targets = np.arange(3).repeat(200)
    drawn = other_classes(targets, 3, seed=1)
    assert (drawn != targets).all()
    assert np.bincount(drawn, minlength=3) == pytest.approx(np.full(3, 200), abs=50)
    with pytest.raises(Refused):
        other_classes(targets, 1, seed=1)
