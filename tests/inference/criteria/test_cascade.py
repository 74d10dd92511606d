"""Cascading randomisation and Arun's decision rule, on the published figures."""

import numpy as np
import pytest
import torch
from monai.networks.nets import DenseNet, DenseNet121, ResNet, resnet50
from torch import nn

from inference.criteria.cascade import cascade, sensitivity
from inference.criteria.pairs import null_pairs
from inference.errors import Refused
from inference.saliency.controls.random_weights import cascade_states, stages
from tests.inference.conditions import disturbed, disturbed_network

pytestmark = pytest.mark.numerics
METHODS = ("GRAD", "SG", "IG", "SIG", "GCAM", "XRAI", "GBP", "GGCAM")
PUBLISHED = {
    "SIIM": (
        (0.250, 0.563, 0.306, 0.568, 0.430, 0.814, 0.357, 0.412),
        (0.239, 0.315, 0.239, 0.500, 0.438, 0.632, 0.359, 0.627),
        {"GRAD", "SG", "IG", "SIG", "XRAI"},
    ),
    "RSNA": (
        (0.209, 0.284, 0.262, 0.354, 0.405, 0.746, 0.278, 0.519),
        (0.233, 0.344, 0.243, 0.626, 0.568, 0.670, 0.329, 0.585),
        {"IG", "XRAI"},
    ),
}


@pytest.mark.parametrize("dataset", PUBLISHED)
def test_the_published_figures_give_the_published_failures(dataset):
    finals, nulls, expected = PUBLISHED[dataset]
    failed = {
        method
        for method, final, null in zip(METHODS, finals, nulls, strict=True)
        if not sensitivity([final], [null], seed=0).passes
    }
    assert failed == expected


def test_a_margin_within_the_noise_passes_but_is_not_clear():
    draw = np.random.default_rng(0)
    close = sensitivity(draw.normal(0.430, 0.1, 100), draw.normal(0.450, 0.1, 50), seed=1)
    far = sensitivity(draw.normal(0.2, 0.1, 100), draw.normal(0.438, 0.1, 50), seed=1)
    assert (far.passes, far.clear) == (True, True)
    assert not close.clear
    assert close.margin.low < 0 < close.margin.high
    slices = sensitivity(np.repeat([0.2, 0.4], 50), draw.normal(0.35, 0.1, 50), np.repeat([0, 1], 50), seed=1)
    assert slices.final.groups == 2
    assert not slices.clear


@pytest.mark.parametrize(
    ("network", "names"),
    [
        (
            DenseNet121(2, 1, 2),
            "conv0 denseblock1 transition1 denseblock2 transition2 denseblock3 transition3 denseblock4 class_layers",
        ),
        (resnet50(spatial_dims=2, n_input_channels=1), "conv1 layer1 layer2 layer3 layer4 fc"),
        (nn.Sequential(*[nn.Linear(3, 3) for _ in range(30)]), "0 3 6 9 12 15 18 20 22 24 26 28"),
    ],
)
def test_stages_are_the_networks_own_input_first(network, names):
    found = stages(network)
    assert [stage.name.split(".")[-1] for stage in found] == names.split()
    owned = {
        f"{module}.{name}"
        for stage in found
        for module in stage.modules
        for name, _ in network.get_submodule(module).named_parameters()
    }
    assert owned == {name for name, _ in network.named_parameters()}


def test_a_network_without_parameters_has_no_stages():
    with pytest.raises(Refused):
        stages(nn.ReLU())


def small():
    torch.manual_seed(1)
    network = DenseNet(2, 1, 2, init_features=4, growth_rate=2, block_config=(1, 1, 1, 1)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
    return network


@pytest.mark.parametrize("order", ["top_down", "bottom_up"])
def test_each_state_has_one_more_stage_drawn_anew_and_the_last_all(order):
    network = small()
    before = {name: value.clone() for name, value in network.named_parameters()}
    generator = torch.random.get_rng_state()
    expected = [stage.name for stage in stages(network)]
    counts, names = [], []
    for name, state in cascade_states(network, order=order, seed=4):
        names.append(name)
        counts.append(sum(not torch.equal(value, before[key]) for key, value in state.named_parameters()))
        assert not state.training
    assert names == (expected[::-1] if order == "top_down" else expected)
    assert counts == sorted(counts)
    assert counts[-1] == len(before)
    assert all(torch.equal(value, before[name]) for name, value in network.named_parameters())
    assert torch.equal(generator, torch.random.get_rng_state())


def test_parameters_of_the_root_itself_are_drawn_with_the_last_stage():
    class Rooted(nn.Module):
        def __init__(self):
            super().__init__()
            self.position = nn.Parameter(torch.ones(3))
            self.stem, self.head = nn.Linear(3, 3), nn.Linear(3, 3)

    changed = [
        not torch.equal(state.position, torch.ones(3))
        for _, state in cascade_states(Rooted(), order="top_down", seed=0)
    ]
    assert changed == [False, True]


def test_the_cascade_measures_every_image_at_every_state_and_the_null_between_patients():
    torch.manual_seed(0)
    network = disturbed_network(
        ResNet("basic", [1, 1, 1, 1], [4, 8, 8, 16], 2, 1, num_classes=2, conv1_t_size=3)
    ).eval()
    images = disturbed(torch.rand(6, 1, 32, 32))
    patients = np.arange(6)

    def gradients(model):
        inputs = images.clone().requires_grad_()
        (maps,) = torch.autograd.grad(model(inputs)[:, 1].sum(), inputs)
        return maps[:, 0].numpy()

    pairs = null_pairs(patients, seed=0, count=10)
    made = cascade(network, gradients, pairs, seed=2)
    assert made.states == ("fc", "layer4", "layer3", "layer2", "layer1", "conv1")
    assert made.ssim.shape == made.spearman.shape == (6, 6)
    assert made.null_ssim.shape == made.null_spearman.shape == (10,)
    same = cascade(network, gradients, pairs, seed=2)
    assert np.array_equal(made.ssim, same.ssim)

    def edges(_):
        return images[:, 0].numpy()

    blind = cascade(network, edges, pairs, seed=2)
    verdict = sensitivity(blind.ssim[-1], blind.null_ssim, patients, seed=1)
    assert blind.spearman == pytest.approx(1.0)
    assert (verdict.passes, verdict.clear) == (False, True)
