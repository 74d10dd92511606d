"""What single families promise: signs, rules for ReLU, mixtures, windows, controls, profiles."""

import numpy as np
import pytest
import torch
from monai.networks.nets import EfficientNetBN, ResNet
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr
from torch import nn
from torch.nn import functional as F

from inference.attention_gate import GatedClassifier
from inference.errors import UnknownName, Unsuitable
from inference.saliency import explain, normalise
from inference.saliency.engine.layers import activations_and_gradients
from inference.saliency.gradient.blur_integrated_gradients import blurred
from tests.inference.conditions import disturbed, disturbed_network
from tests.inference.saliency.likeness import alike

pytestmark = pytest.mark.numerics


def images(*shape: int) -> torch.Tensor:
    return disturbed(torch.rand(*shape, generator=torch.Generator().manual_seed(3)))


def blobs(size: int, dims: int = 2) -> torch.Tensor:
    """A bright and a dark blob on grey."""
    axes = torch.meshgrid(*[torch.arange(size, dtype=torch.float32)] * dims, indexing="ij")
    one = torch.exp(-sum((axis - size * 0.3) ** 2 for axis in axes) / (size / 6) ** 2)
    two = torch.exp(-sum((axis - size * 0.7) ** 2 for axis in axes) / (size / 6) ** 2)
    return disturbed((0.5 + 0.5 * one - 0.4 * two)[None, None])


class Mean(nn.Module):
    """Logits: plus and minus the mean of one quarter of the image, through a convolution that passes it on."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.ones_(self.features.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = F.avg_pool2d(torch.relu(self.features(x)), 4)
        half = seen.shape[-1] // 2
        mean = seen[:, 0, :half, :half].mean(dim=(1, 2))
        return torch.stack([mean, -mean], dim=1) * 100


@pytest.mark.parametrize(
    "method",
    ["gradient", "smoothgrad", "integrated_gradients", "guided_integrated_gradients", "occlusion", "rise", "xrai"],
)
def test_what_speaks_for_the_class_is_positive_and_what_speaks_against_it_negative(method):
    inputs = 0.2 + 0.05 * images(1, 1, 32, 32)  # grain: no two pixels are alike, so no segment hangs on a tie
    inputs[:, :, :16, :16] += 0.75
    few = {"occlusion": {"window": 8, "stride": 4, "share": 1.0}, "rise": {"masks": 600}}.get(method, {})
    rising = explain(Mean(), inputs, 0, method, **few)[0]
    falling = explain(Mean(), inputs, 1, method, **few)[0]
    assert rising[:12, :12].mean() > 0 > falling[:12, :12].mean()
    assert rising[:12, :12].mean() > 3 * rising[20:, 20:].abs().mean()


@pytest.mark.parametrize("method", ["integrated_gradients", "smooth_integrated_gradients"])
def test_where_the_logit_rises_evenly_rounding_is_not_taken_for_a_slope_to_correct_by(method):
    inputs = 0.2 + 0.8 * images(1, 1, 32, 32)
    few = {"samples": 2, "noise": 0.0} if method == "smooth_integrated_gradients" else {}
    maps = explain(Mean(), inputs, 0, method, **few)
    exact = explain(Mean(), inputs, 0, "gradient") * (inputs[:, 0] - inputs.min())
    assert alike(maps, exact if method == "integrated_gradients" else exact.square())


def with_relu(kind: str) -> nn.Module:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.first, self.second = nn.Conv2d(1, 6, 3), nn.Conv2d(6, 6, 3)
            self.head = nn.Linear(6, 2)
            self.relu = nn.ReLU(inplace=kind == "in place")

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.act(self.second(self.act(self.first(x))))
            return self.head(x.mean(dim=(2, 3)))

        def act(self, x: torch.Tensor) -> torch.Tensor:
            return {
                "module": lambda: self.relu(x), "in place": lambda: self.relu(x), "function": lambda: F.relu(x),
                "torch": lambda: torch.relu(x), "method": lambda: x.relu(), "clamp": lambda: x.clamp(min=0),
                "clamp_min": lambda: torch.clamp_min(x, 0), "leaky": lambda: F.leaky_relu(x), "silu": lambda: F.silu(x),
                "none": lambda: x,
            }[kind]()  # fmt: skip

    return disturbed_network(Net()).eval()


@pytest.mark.parametrize("method", ["guided_backprop", "deconvolution", "guided_gradcam"])
@pytest.mark.parametrize("kind", ["in place", "function", "torch", "method", "clamp", "clamp_min"])
def test_a_relu_counts_however_it_is_written(method, kind):
    inputs = images(1, 1, 12, 12)
    expected = explain(with_relu("module"), inputs, 0, method, **LAYER.get(method, {}))
    plain = explain(with_relu("module"), inputs, 0, "gradient")
    assert alike(explain(with_relu(kind), inputs, 0, method, **LAYER.get(method, {})), expected)
    assert not alike(expected, plain)


LAYER = {"guided_gradcam": {"layer": "second", "relu": False}}


@pytest.mark.parametrize("kind", ["leaky", "silu", "none"])
def test_a_network_without_relu_is_refused_with_what_it_has(kind):
    with pytest.raises(Unsuitable, match={"leaky": "leaky_relu", "silu": "silu", "none": "No ReLU ran"}[kind]):
        explain(with_relu(kind), images(1, 1, 12, 12), 0, "guided_backprop")
    network = EfficientNetBN("efficientnet-b0", pretrained=False, spatial_dims=2, in_channels=1, num_classes=2)
    with pytest.raises(Unsuitable, match="choose another method"):
        explain(network.eval(), images(1, 1, 32, 32), 0, "deconvolution")


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace.*:DeprecationWarning")
def test_a_scripted_network_hides_its_relus_and_is_refused():
    inputs = images(1, 1, 12, 12)
    traced = torch.jit.trace(with_relu("module"), inputs)
    with pytest.raises(Unsuitable, match="scripted"):
        explain(traced, inputs, 0, "guided_backprop")


def gated() -> nn.Module:
    torch.manual_seed(0)
    return disturbed_network(GatedClassifier(2, 1, 3, (4, 8, 8, 8))).eval()


def test_attention_shows_the_gates_coefficients_one_by_one_or_their_mean():
    network, inputs = gated(), images(2, 1, 32, 32)
    first, second, mean = (explain(network, inputs, 0, "attention", gate=gate) for gate in (1, 2, 0))
    assert torch.allclose((first + second) / 2, mean)
    assert not torch.allclose(first, second)
    assert 0 < first.min() < first.max() < 1
    with pytest.raises(Unsuitable, match="has 2 attention gates"):
        explain(network, inputs, 0, "attention", gate=3)
    with pytest.raises(Unsuitable, match="no attention gates"):
        explain(with_relu("module"), inputs, 0, "attention")


def test_a_closed_gate_lets_nothing_through():
    network, inputs = gated(), images(1, 1, 32, 32)
    gate = network.gates[0]
    nn.init.zeros_(gate.psi.conv.weight)
    nn.init.constant_(gate.psi.conv.bias, -50.0)
    assert explain(network, inputs, 0, "attention", gate=1).max() < 1e-6


@pytest.mark.parametrize("mixing", ["uniform", "weighted", "thresholded"])
def test_a_class_mixture_is_the_weighted_sum_of_every_classs_cut_map(mixing):
    torch.manual_seed(0)
    network = disturbed_network(
        ResNet("basic", [1, 1, 1, 1], [4, 8, 8, 16], 2, 1, num_classes=3, conv1_t_size=3)
    ).eval()
    inputs = images(1, 1, 64, 64) * 5
    logits = network(inputs)[0]
    weights = {"uniform": torch.ones(3), "weighted": logits.sigmoid(), "thresholded": (logits >= 0).float()}[mixing]
    if weights.sum() == 0:
        weights[0] = 1
    expected = torch.zeros(64, 64)
    for number, weight in enumerate(weights):
        features, gradient = activations_and_gradients(network, inputs, torch.tensor([number]), layer="layer3")
        cam = (gradient.mean(dim=(2, 3), keepdim=True) * features).sum(dim=1, keepdim=True).relu() / features.shape[1]
        expected += weight.detach() * F.interpolate(cam, size=(64, 64), mode="bilinear", align_corners=False)[0, 0]
    maps = explain(network, inputs, 0, "class_mixture", mixing=mixing, layer="layer3")
    assert alike(maps, expected[None])
    assert alike(maps, explain(network, inputs, 2, "class_mixture", mixing=mixing, layer="layer3"))


class Local(nn.Module):
    """A logit that falls off with distance from a place: smooth in where a window lies."""

    def __init__(self, size: int) -> None:
        super().__init__()
        axis = torch.linspace(-1, 1, size)
        self.weight = nn.Parameter(torch.exp(-((axis[:, None] - 0.3) ** 2 + (axis[None] + 0.2) ** 2) * 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total = (x[:, 0] * self.weight).sum(dim=(1, 2))
        return torch.stack([total, -total], dim=1)


def test_occlusion_by_every_window_is_the_mean_fall_by_hand():
    network, image = Local(16), images(1, 1, 16, 16)
    maps = explain(network, image, 0, "occlusion", window=4, stride=4, share=1.0)
    black = image.min()
    for row in range(0, 16, 4):
        for column in range(0, 16, 4):
            place = (slice(row, row + 4), slice(column, column + 4))
            fall = ((image[0, 0] - black) * network.weight)[place].sum()
            assert torch.allclose(maps[0][place], fall.detach().expand(4, 4), atol=1e-4)


def test_occlusion_from_coarse_to_fine_passes_a_third_and_ranks_pixels_alike():
    rows = []
    network, image = Local(96), blobs(96)
    network.register_forward_hook(lambda _module, given, _output: rows.append(len(given[0])))
    whole = explain(network, image, 0, "occlusion", window=8, stride=4, share=1.0)
    all_rows = sum(rows)
    rows.clear()
    third = explain(network, image, 0, "occlusion", window=8, stride=4)
    assert sum(rows) <= all_rows / 3
    assert spearmanr(whole.flatten(), third.flatten())[0] > 0.97


def test_windows_that_change_nothing_are_not_passed():
    rows = []
    network = Local(32)
    network.register_forward_hook(lambda _module, given, _output: rows.append(len(given[0])))
    image = torch.zeros(1, 1, 32, 32)
    image[:, :, :8, :8] = 1
    maps = explain(network, image, 0, "occlusion", window=8, stride=8, share=1.0)
    assert sum(rows) == 1 + 1
    assert maps[0, 8:, 8:].abs().max() == 0


def test_fast_scorecam_passes_only_its_channels_and_stays_close_to_the_exact_form():
    torch.manual_seed(0)
    network = disturbed_network(
        ResNet("basic", [1, 1, 1, 1], [4, 8, 8, 48], 2, 1, num_classes=3, conv1_t_size=3)
    ).eval()
    rows = []
    network.register_forward_hook(lambda _module, given, _output: rows.append(len(given[0])))
    exact = explain(network, blobs(128), 1, "scorecam", relu=False)
    assert sum(rows) == 1 + 1 + 48
    rows.clear()
    fast = explain(network, blobs(128), 1, "scorecam", channels=12, relu=False)
    assert sum(rows) == 1 + 1 + 12
    assert spearmanr(exact.flatten(), fast.flatten())[0] > 0.95


@pytest.mark.parametrize("sigma", [0.01, 0.7, 3.0, 40.0])
def test_blur_is_scipys(sigma):
    from scipy.ndimage import gaussian_filter

    image = np.random.default_rng(0).random((2, 20, 24, 10))
    expected = gaussian_filter(image, [0, sigma, sigma, sigma], mode="constant")
    assert np.allclose(blurred(torch.from_numpy(image), sigma).numpy(), expected, atol=1e-12)


def test_expected_gradients_of_a_linear_model_are_weight_times_distance_from_the_mean_reference():
    network, image, references = Local(16), images(1, 1, 16, 16), images(10, 1, 16, 16)
    maps = explain(network, image, 0, "expected_gradients", references=references, samples=40)
    assert torch.allclose(maps[0], network.weight.detach() * (image[0, 0] - references.mean(dim=0)[0]), atol=1e-5)
    with pytest.raises(Unsuitable, match="references="):
        explain(network, image, 0, "expected_gradients")


def test_controls_know_nothing_of_the_network_or_only_its_architecture():
    inputs = images(1, 1, 32, 32)
    for control in ("random", "centre", "edge", "blank"):
        assert torch.equal(explain(Local(32), inputs, 0, control), explain(gated(), inputs, 1, control))
    assert explain(Local(32), inputs, 0, "blank").abs().max() == 0
    centre = explain(Local(32), inputs, 0, "centre")[0]
    assert divmod(int(centre.argmax()), 32)[0] in (15, 16)
    prior = torch.zeros(8, 8)
    prior[2, 5] = 1
    fitted = explain(Local(32), inputs, 0, "average_mask", prior=prior)[0]
    assert tuple(index // 4 for index in divmod(int(fitted.argmax()), 32)) == (2, 5)
    with pytest.raises(Unsuitable, match="prior="):
        explain(Local(32), inputs, 0, "average_mask")


def test_profiles_are_what_their_names_say():
    raw = torch.tensor([[[[1.0, -4.0], [2.0, 0.0]], [[1.0, 2.0], [-3.0, 0.0]]]])
    assert normalise(raw, "display")[0].tolist() == [[1.0, 0.0], [0.0, 0.0]]
    assert normalise(raw, "signed")[0].tolist() == [[1.0, -1.0], [-0.5, 0.0]]
    assert torch.allclose(normalise(raw, "magnitude")[0], torch.tensor([[2.0, 6.0], [5.0, 0.0]]) / 6)
    assert normalise(torch.full((1, 1, 4, 4), 3.0), "legacy").abs().max() == 0
    with pytest.raises(UnknownName, match="There are: display"):
        normalise(raw, "arun")


def test_the_legacy_profile_is_pairs_grayscale_brought_to_one():
    from saliency.core.visualization import VisualizeImageGrayscale

    raw = torch.randn(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    expected = VisualizeImageGrayscale(raw[0].permute(1, 2, 0).numpy())
    assert np.allclose(normalise(raw, "legacy")[0].numpy(), expected, atol=1e-5)


def small_resnet(dims: int) -> nn.Module:
    torch.manual_seed(2)
    network = ResNet("basic", [1, 1, 1, 1], [4, 8, 8, 8], dims, 1, 3, 1, no_max_pool=True, num_classes=2).eval()
    return disturbed_network(network)


@pytest.mark.parametrize("size", [(24, 32), (12, 16, 20)])
@pytest.mark.parametrize("relu", [True, False])
def test_smoothed_gradcam_is_gradcam_under_scipys_gaussian_with_nothing_fading_at_the_edge(
    size: tuple[int, ...], relu: bool
) -> None:
    network = small_resnet(len(size))
    inputs = images(2, 1, *size)
    targets = torch.tensor([0, 1])
    signed = explain(network, inputs, targets, "gradcam", layer="layer2", relu=False).numpy()
    found = explain(network, inputs, targets, "smoothed_gradcam", layer="layer2", relu=relu, spread_share=0.125).numpy()
    sigma = 0.125 * min(size)
    there = gaussian_filter(np.ones(size), sigma, mode="constant")
    expected = np.stack([gaussian_filter(signed[i].astype(float), sigma, mode="constant") / there for i in range(2)])
    expected = np.maximum(expected, 0) if relu else expected
    assert np.abs(signed).max() > 0
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(signed).max())


def test_smoothed_gradcam_without_spread_is_gradcam() -> None:
    network, inputs = small_resnet(2), images(1, 1, 32, 32)
    signed = {"layer": "layer2", "relu": False}
    plain = explain(network, inputs, 1, "gradcam", **signed)
    assert torch.equal(explain(network, inputs, 1, "smoothed_gradcam", spread_share=0.0, **signed), plain)
