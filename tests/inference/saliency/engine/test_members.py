"""Members that answer as one: the mean of their probabilities, and the mean of their maps."""

import pytest
import torch
from torch import nn

from inference.saliency import explain
from inference.saliency.engine.layers import choose_layer, logits_and_activations
from inference.saliency.engine.members import Members


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    layers = nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)
    return nn.Sequential(*layers).eval()


NETWORKS = [network(seed) for seed in range(3)]
INPUTS = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("excluding", [True, False])
def test_the_probability_is_the_mean_of_the_members(excluding):
    def probabilities(model: nn.Module) -> torch.Tensor:
        with torch.no_grad():
            return model(INPUTS).softmax(dim=1) if excluding else model(INPUTS).sigmoid()

    mean = torch.stack([probabilities(member) for member in NETWORKS]).mean(dim=0)
    assert torch.allclose(probabilities(Members(NETWORKS, excluding=excluding)), mean, atol=1e-6)


@pytest.mark.parametrize("method", ["gradcam", "integrated_gradients", "occlusion"])
def test_the_map_is_the_mean_of_the_members_maps(method):
    maps = torch.stack([explain(member, INPUTS, 1, method) for member in NETWORKS])
    assert torch.equal(explain(Members(NETWORKS, excluding=True), INPUTS, 1, method), maps.mean(dim=0))
    geometric = explain(Members(NETWORKS, excluding=True, geometric=True), INPUTS, 1, method)
    positive = (maps > 0).all(dim=0)
    assert torch.allclose(geometric[positive] ** 3, maps.prod(dim=0)[positive], rtol=1e-4, atol=1e-12)
    assert (geometric[~positive] == 0).all()


def test_a_layer_is_that_of_every_member():
    joined = Members(NETWORKS, excluding=True)
    assert choose_layer(joined, INPUTS, None) == "1"
    logits, features = logits_and_activations(joined, INPUTS, layer="1")
    assert features.shape == (2, 9, 8, 8)
    assert torch.equal(logits, joined(INPUTS))
