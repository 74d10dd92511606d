"""Saliency methods: signs by hand on a linear model, captum as the oracle on a network, and nothing left behind."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients, LayerAttribution, LayerGradCam, Saliency
from monai.networks.nets import DenseNet, ResNet
from torch import nn

from inference.attention_gate import GatedClassifier
from inference.errors import UnknownName, Unsuitable
from inference.saliency import explain, method_named, methods
from tests.inference.conditions import disturbed, disturbed_network
from tests.inference.saliency.likeness import alike

pytestmark = pytest.mark.numerics
ALL = [method.name for method in methods()]
FEW = {"masks": 12, "channels": 5, "samples": 4, "steps": 5}
"""Parameters that keep long methods short."""


def explained(
    network: nn.Module, inputs: torch.Tensor, targets: int | torch.Tensor, method: str, **more
) -> torch.Tensor:
    """Run any method with all it may need, quickly."""
    few = {name: value for name, value in FEW.items() if name in method_named(method).details}
    references = torch.rand(3, *inputs.shape[1:], generator=torch.Generator().manual_seed(8))
    prior = torch.rand([6] * (inputs.ndim - 2), generator=torch.Generator().manual_seed(9))
    return explain(network, inputs, targets, method, references=references, prior=prior, **{**few, **more})


def network_for(method: str, dims: int = 2, channels: int = 1) -> nn.Module:
    """Return a gated network where the method asks for one, a linear one for LRP, a ResNet elsewhere."""
    if method not in ("attention", "lrp"):
        return resnet(dims, channels)
    torch.manual_seed(0)
    gated = method == "attention"
    return disturbed_network(GatedClassifier(dims, channels, 3, (4, 8, 8, 8)) if gated else Corner()).eval()


class Linear(nn.Module):
    """Two logits: w . x and -w . x, of two channels."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([weight, -weight]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.einsum("nchw,kchw->nk", x, self.weight)


class Corner(nn.Module):
    """Three logits of the first 64 values, without a bias: of the layers that captum's LRP knows."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(64, 3, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x.flatten(1)[:, :64])


def resnet(dims: int = 2, channels: int = 1) -> nn.Module:
    torch.manual_seed(0)
    network = ResNet(
        block="basic", layers=[1, 1, 1, 1], block_inplanes=[4, 8, 8, 16], spatial_dims=dims,
        n_input_channels=channels, num_classes=3, conv1_t_size=3,
    )  # fmt: skip
    return disturbed_network(network).eval()


def images(*shape: int) -> torch.Tensor:
    return disturbed(torch.rand(*shape, generator=torch.Generator().manual_seed(3)))


@pytest.mark.parametrize("target", [0, 1])
def test_gradient_of_a_linear_model_is_its_weight_with_its_sign(target):
    weight = torch.tensor([[[1.0, -2.0], [0.0, 3.0]], [[0.5, 0.0], [-1.0, 0.0]]])
    maps = explain(Linear(weight), images(3, 2, 2, 2), target, "gradient")
    assert torch.equal(maps, (weight.sum(dim=0) * (1 - 2 * target)).expand(3, 2, 2))


@pytest.mark.parametrize(("baseline", "start"), [("black", 1.0), ("white", 4.0), ("mean", 2.25)])
def test_integrated_gradients_of_a_linear_model_are_weight_times_way(baseline, start):
    weight = torch.tensor([[[1.0, -2.0], [0.5, 3.0]]])
    image = torch.tensor([[[[1.0, 2.0], [2.0, 4.0]]]])
    for method in ("integrated_gradients", "guided_integrated_gradients"):
        maps = explain(Linear(weight), image, 0, method, baseline=baseline, steps=3)
        assert torch.allclose(maps[0], weight[0] * (image[0, 0] - start), atol=1e-5)


def test_black_and_white_is_the_mean_of_both():
    network, inputs = resnet(), images(2, 1, 32, 32)
    both, black, white = (
        explain(network, inputs, 1, "integrated_gradients", baseline=name, steps=8)
        for name in ("black_and_white", "black", "white")
    )
    assert alike(both, (black + white) / 2)


def test_gradient_is_captums():
    network, inputs = resnet(channels=3), images(3, 3, 32, 32)
    targets = torch.tensor([0, 1, 2])
    oracle = Saliency(network).attribute(inputs.clone().requires_grad_(), targets, abs=False).sum(dim=1)
    assert alike(explain(network, inputs, targets, "gradient"), oracle)


def test_integrated_gradients_are_captums():
    network, inputs = resnet(), images(2, 1, 32, 32)
    black = inputs.flatten(1).amin(dim=1).reshape(2, 1, 1, 1).expand_as(inputs)
    # captum's rule has n - 1 intervals and divides by n
    oracle = IntegratedGradients(network).attribute(inputs, black, target=2, n_steps=20, method="riemann_trapezoid")
    maps = explain(network, inputs, 2, "integrated_gradients", steps=19, complete=False)
    assert alike(maps, oracle.sum(dim=1) * 20 / 19)


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize(("dims", "mode", "target"), [(2, "bilinear", 1), (3, "trilinear", 2)])
def test_gradcam_is_captums(dims, mode, target, relu):
    network, inputs = resnet(dims), images(2, 1, *[32] * dims)
    layer = network.layer3
    grid = LayerGradCam(network, layer).attribute(inputs, target=target, relu_attributions=relu)
    oracle = LayerAttribution.interpolate(grid, inputs.shape[2:], interpolate_mode=mode)[:, 0]
    maps = explain(network, inputs, target, "gradcam", layer="layer3", relu=relu)
    assert maps.abs().max() > 0
    assert alike(maps, oracle)
    assert (maps.min() >= 0) == relu


def test_gradcam_before_an_in_place_relu_sees_what_the_layer_gave():
    def network(inplace: bool) -> nn.Module:
        torch.manual_seed(1)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.ReLU(inplace=inplace), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
        )

    inputs = images(1, 1, 8, 8)
    maps = [explain(network(inplace), inputs, 0, "gradcam", layer="0", relu=False) for inplace in (True, False)]
    assert alike(*maps)


def test_integrated_gradients_are_complete_within_one_percent():
    network, inputs = resnet(), images(2, 1, 32, 32) * 4
    maps = explain(network, inputs, 0, "integrated_gradients")
    black = inputs.flatten(1).amin(dim=1).reshape(2, 1, 1, 1).expand_as(inputs)
    rise = (network(inputs) - network(black))[:, 0].detach()
    assert torch.all((maps.sum(dim=(1, 2)) - rise).abs() < 0.01 * rise.abs())


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize(("dims", "channels"), [(2, 1), (2, 3), (3, 1)])
def test_maps_are_raw_float32_on_the_inputs_grid(method, dims, channels):
    inputs = images(2, channels, *[24] * dims)
    maps = explained(network_for(method, dims, channels), inputs, 1, method)
    assert maps.shape == (2, *[24] * dims)
    assert maps.dtype == torch.float32
    assert not maps.requires_grad
    assert maps.isfinite().all()
    kept = explained(network_for(method, dims, channels), inputs, 1, method, keep_channels=True)
    assert kept.shape[1] in (1, channels)
    assert torch.equal(kept.sum(dim=1), maps)


@pytest.mark.parametrize("method", ALL)
def test_the_same_seed_gives_the_same_bits_and_batching_changes_nothing(method):
    network, inputs = network_for(method), images(3, 1, 32, 32)
    first, second = (explained(network, inputs, 1, method, seed=5) for _ in range(2))
    assert torch.equal(first, second)
    alone = explained(network, inputs[2:], 1, method, seed=5)
    assert alike(first[2:], alone, method)


@pytest.mark.parametrize(
    "method",
    ["smoothgrad", "rise", "expected_gradients", "gradient_shap", "kernel_shap", "lime", "random", "untrained"],
)
def test_another_seed_gives_another_map(method):
    network, inputs = resnet(), images(1, 1, 32, 32)
    assert not torch.equal(
        *(
            explained(network, inputs, 1, method, seed=seed, **{"relu": False} if method == "untrained" else {})
            for seed in (1, 2)
        )
    )


@pytest.mark.parametrize("method", ALL)
def test_explaining_works_under_inference_mode_and_leaves_it_on(method):
    network = network_for(method)
    outside = explained(network, images(2, 1, 32, 32), 1, method)
    with torch.inference_mode():
        inside = explained(network, images(2, 1, 32, 32), torch.tensor([1, 1]), method)
        assert torch.is_inference_mode_enabled()
    assert alike(outside, inside, method)


class Faulty(nn.Module):
    """Fails after its features were computed."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(1, 2, 3)
        self.fails = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = torch.relu(self.features(x))
        if self.fails:
            raise ZeroDivisionError
        return features.mean(dim=(2, 3))


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("fails", [False, True])
def test_no_hook_gradient_or_mode_is_left_behind_even_after_an_error(method, fails):
    network = Faulty().train()
    network.features.eval()
    network.fails = fails
    try:
        explained(network, images(1, 1, 16, 16), 0, method)
    except (ZeroDivisionError, Unsuitable):
        assert fails or method in ("attention", "deep_lift", "deep_lift_shap", "lrp")
    for module in network.modules():
        assert not module._forward_hooks
        assert not module._backward_hooks
        assert not module._forward_pre_hooks
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())
    assert network.training
    assert not network.features.training


def test_the_layer_is_found_as_the_last_feature_map():
    network, inputs = resnet(), images(2, 1, 64, 64)
    assert alike(explain(network, inputs, 1, "gradcam"), explain(network, inputs, 1, "gradcam", layer="layer4"))
    dense = DenseNet(2, 1, 2, init_features=8, growth_rate=4, block_config=(2, 2)).eval()
    assert explain(dense, inputs, 1, "gradcam", relu=False).abs().sum() > 0


def test_a_layer_without_a_feature_map_is_refused_with_those_that_have_one():
    with pytest.raises(UnknownName, match=r"'fc'.*layer3, .*layer4"):
        explain(resnet(), images(1, 1, 64, 64), 0, "gradcam", layer="fc")
    with pytest.raises(UnknownName, match=r"'layer5'.*layer4"):
        explain(resnet(), images(1, 1, 64, 64), 0, "gradcam", layer="layer5")


def test_a_network_without_any_feature_map_is_refused():
    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(64, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(x.flatten(1))

    with pytest.raises(UnknownName, match="layer with a feature map"):
        explain(Flat(), images(1, 1, 8, 8), 0, "gradcam")


@pytest.mark.parametrize(
    ("method", "parameters", "message"),
    [
        ("gradcma", {}, "Did you mean 'gradcam'.*integrated_gradients"),
        ("zzz", {}, "There are: gradient"),
        ("occlusion", {"share": 1.5}, "at most 1"),
        ("integrated_gradients", {"step": 3}, "Did you mean 'steps'.*baseline"),
        ("gradient", {"steps": 3}, "There are: none"),
        ("integrated_gradients", {"steps": "many"}, "takes int"),
        ("integrated_gradients", {"steps": True}, "takes int"),
        ("integrated_gradients", {"steps": 0}, "at least 1"),
        ("integrated_gradients", {"baseline": "blck"}, "Did you mean 'black'"),
        ("gradcam", {"relu": 1}, "takes bool"),
    ],
)
def test_unknown_names_are_answered_with_the_valid_ones(method, parameters, message):
    with pytest.raises(UnknownName, match=message):
        explain(resnet(), images(1, 1, 32, 32), 0, method, **parameters)


def test_every_method_names_its_paper_and_its_defaults():
    for method in methods():
        assert "arXiv" in method.paper
        assert method.description
        assert all(parameter.meaning for parameter in method.details.values())
    assert sum(method.control for method in methods()) == 6
    assert method_named("integrated_gradients").parameters == {
        "steps": 24, "baseline": "black", "blur_sigma": 10.0, "complete": True,
    }  # fmt: skip


def test_blur_baseline_keeps_channels_apart():
    inputs = torch.stack([torch.zeros(1, 16, 16), torch.ones(1, 16, 16)], dim=1).float()
    weight = torch.ones(2, 16, 16)
    maps = explain(Linear(weight), inputs, 0, "integrated_gradients", baseline="blur", steps=2)
    assert np.allclose(maps, 0, atol=1e-5)


def test_two_threads_may_explain_by_one_network_at_once():
    network, inputs = resnet(), images(6, 1, 32, 32)
    alone = [explain(network, inputs[i : i + 1], 1, "gradcam", layer="layer3") for i in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            together = pool.map(lambda i: explain(network, inputs[i : i + 1], 1, "gradcam", layer="layer3"), range(4))
            assert all(alike(a, b) for a, b in zip(alone, together, strict=True))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("method", ALL)
def test_on_a_gpu_the_floor_of_repeatability_is_measured_and_recorded(method, record_property):
    network, inputs = network_for(method).cuda(), images(2, 1, 32, 32).cuda()
    first, second = (explained(network, inputs, 1, method, seed=5) for _ in range(2))
    assert first.device.type == "cuda"
    floor = float((first - second).abs().max() / first.abs().max().clamp(min=1e-12))
    record_property(f"repeatability_floor_{method}", floor)
    assert floor < 1e-3
