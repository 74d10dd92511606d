"""captum's methods: by hand on a linear network, as captum gives them, complete or refused, by layer before a pass."""

import ast
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from captum import attr
from monai.networks.nets import DenseNet121
from torch import nn

from inference.attention_gate import GatedClassifier
from inference.bundle.bundle import SHIPPED, load_bundle
from inference.devices import fingerprint
from inference.errors import UnknownName, Unsuitable
from inference.saliency import explain, libraries_of, method_named, methods
from inference.saliency.borrowed.guards import check_complete, drawn_from
from inference.saliency.gradient.segments import partition
from tests.inference.saliency.cases import images, predicted, trained
from tests.inference.saliency.likeness import alike, difference

NAMES = [info.name for info in methods() if "captum" in info.libraries]
ROOT = Path(__file__).parents[3]
IMAGE = torch.rand(1, 2, 16, 16, generator=torch.Generator().manual_seed(1)) + torch.arange(16.0) / 8
OTHERS = torch.rand(3, 2, 16, 16, generator=torch.Generator().manual_seed(2))
BLACK = torch.full_like(IMAGE, float(IMAGE.min()))


class Linear(nn.Module):
    """Two logits, of layers that every method knows, without a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(2 * 16 * 16, 2, bias=False)
        nn.init.normal_(self.head.weight, generator=torch.Generator().manual_seed(0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x.flatten(1))

    def weight(self, target: int) -> torch.Tensor:
        return self.head.weight[target].detach().reshape(2, 16, 16)


def by_segment(contributions: torch.Tensor, features: int) -> torch.Tensor:
    """Return the sum of contributions (C, H, W) over each segment of the image, at each of its pixels, (H, W)."""
    labels = torch.from_numpy(partition(IMAGE[0].double().numpy(), features))
    sums = torch.zeros(int(labels.max()) + 1).index_add(0, labels.flatten(), contributions.sum(dim=0).flatten())
    assert len(sums) > 3
    return sums[labels]


@pytest.mark.parametrize("target", [0, 1])
def test_contributions_to_a_linear_logit_are_weight_times_way(target: int) -> None:
    network, weight = Linear(), Linear().weight(target)
    expected = {
        "input_x_gradient": weight * IMAGE[0],
        "lrp": weight * IMAGE[0],
        "deep_lift": weight * (IMAGE - BLACK)[0],
        "deep_lift_shap": weight * (IMAGE[0] - OTHERS.mean(dim=0)),
    }
    for method, wanted in expected.items():
        maps = explain(network, IMAGE, target, method, references=OTHERS, keep_channels=True)
        assert torch.allclose(maps[0], wanted, atol=1e-4), method
    one = OTHERS[:1].expand(3, -1, -1, -1)
    maps = explain(network, IMAGE, target, "gradient_shap", references=one, noise=0.0, keep_channels=True)
    assert torch.allclose(maps[0], weight * (IMAGE[0] - OTHERS[0]), atol=1e-4)


@pytest.mark.parametrize(
    ("method", "more", "allowed"),
    [("feature_ablation", {}, 1e-4), ("kernel_shap", {"samples": 60}, 1e-2),
     ("lime", {"samples": 60, "penalty": 1e-5}, 1e-2)],
)  # fmt: skip
def test_segments_of_a_linear_network_weigh_what_their_pixels_contribute(
    method: str, more: dict[str, float], allowed: float
) -> None:
    wanted = by_segment(Linear().weight(0) * (IMAGE - BLACK)[0], 9)
    assert difference(explain(Linear(), IMAGE, 0, method, features=9, **more)[0], wanted) < allowed


@pytest.mark.numerics
def test_a_penalty_makes_lime_sparse_whatever_the_scale_of_the_logits() -> None:
    class Scaled(Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) * 1e-4

    plain, small = (explain(network, IMAGE, 0, "lime", features=9) for network in (Linear(), Scaled()))
    assert plain.abs().max() > 0
    assert alike(small * 1e4, plain)


@pytest.mark.numerics
def test_where_captum_takes_the_network_the_maps_are_captums() -> None:
    network, inputs = trained("densenet", inplace=False), images()[:2]
    targets, others = predicted("densenet")[:2], images()[4:]
    black = inputs.flatten(1).amin(dim=1).reshape(-1, 1, 1, 1).expand_as(inputs)
    points = inputs.clone().requires_grad_()
    product = attr.InputXGradient(network).attribute(points, target=targets).detach().sum(dim=1)
    assert alike(explain(network, inputs, targets, "input_x_gradient"), product)
    ablated = attr.FeatureAblation(network).attribute(
        inputs[:1], baselines=black[:1], target=int(targets[0]),
        feature_mask=torch.from_numpy(partition(inputs[0].double().numpy(), 36))[None, None],
    )  # fmt: skip
    assert alike(explain(network, inputs[:1], targets[:1], "feature_ablation"), ablated[:, 0])
    with drawn_from(5):
        shap = attr.GradientShap(network).attribute(inputs[:1], others, n_samples=6, stdevs=0.0, target=int(targets[0]))
    ours = explain(network, inputs[:1], targets[:1], "gradient_shap", seed=5, references=others, samples=6, noise=0.0)
    assert alike(ours, shap.detach()[:, 0])


class Plain(nn.Module):
    """Layers that captum follows: no activation twice, no maximum."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.next, self.head = nn.Conv2d(1, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1), nn.Linear(6, 3)
        self.first, self.pool, self.second = nn.ReLU(), nn.AvgPool2d(2), nn.Tanh()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.second(self.next(self.pool(self.first(self.stem(x))))).mean(dim=(2, 3)))


class Shared(Plain):
    """The same with one activation for two places, under two names, and a maximum right after it."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.second = self.first
        self.pool = nn.MaxPool2d(size, stride=2, padding=size // 3)


@pytest.mark.numerics
def test_deep_lift_is_captums_and_deep_lift_shap_its_mean() -> None:
    network, inputs, others = Plain().eval(), images()[:2], images()[4:7]
    black = inputs.flatten(1).amin(dim=1).reshape(-1, 1, 1, 1).expand_as(inputs)
    with pytest.warns(UserWarning, match="hooks"):
        lifted = attr.DeepLift(network).attribute(inputs.clone().requires_grad_(), black, target=1).detach()
    with pytest.warns(UserWarning, match="hooks"):
        shap = attr.DeepLiftShap(network).attribute(inputs.clone().requires_grad_(), others, target=1).detach()
    assert alike(explain(network, inputs, 1, "deep_lift"), lifted[:, 0])
    assert alike(explain(network, inputs, 1, "deep_lift_shap", references=others), shap[:, 0])


@pytest.mark.numerics
@pytest.mark.parametrize("size", [2, 3])
def test_an_activation_that_runs_twice_and_a_maximum_are_followed(size: int) -> None:
    inputs = images()[:2]
    with pytest.raises(RuntimeError, match="more than once"), pytest.warns(UserWarning, match="hooks"):
        attr.DeepLift(Shared(size).eval()).attribute(inputs.clone().requires_grad_(), target=1)
    network = Shared(size).eval()
    maps = explain(network, inputs, 1, "deep_lift")
    black = inputs.flatten(1).amin(dim=1).reshape(-1, 1, 1, 1).expand_as(inputs)
    with torch.no_grad():
        rise = (network(inputs) - network(black))[:, 1]
    assert ((maps.sum(dim=(1, 2)) - rise).abs() < 1e-3 * rise.abs()).all()


def shipped(name: str) -> tuple[nn.Module, torch.Tensor]:
    bundle = load_bundle(SHIPPED / name)
    known = load_bundle(SHIPPED / "glioma_flair").null_inputs()
    assert known is not None
    return bundle.primary().module, known[:2]


def densenet(dims: int) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    network = DenseNet121(spatial_dims=dims, in_channels=1, out_channels=2).eval()
    return network, torch.rand(2, 1, *[32] * dims, generator=torch.Generator().manual_seed(1))


NETWORKS = {
    "glioma_flair": lambda: shipped("glioma_flair"),
    "brain_tumour_t1ce": lambda: shipped("brain_tumour_t1ce"),
    "densenet121": lambda: densenet(2),
    "densenet121 in 3D": lambda: densenet(3),
}
WITHOUT_RULE = {
    "glioma_flair": "cat in features", "brain_tumour_t1ce": "add_ in layer1.0", "densenet121": "cat in features",
    "densenet121 in 3D": r"conv3d in features.conv0 \(Conv3d\)",
}  # fmt: skip


@pytest.mark.numerics
@pytest.mark.parametrize("name", NETWORKS)
def test_deep_lift_is_complete_and_lrp_refused_with_a_layer_before_any_pass(name: str) -> None:
    network, inputs = NETWORKS[name]()
    maps = explain(network, inputs[:1], 1, "deep_lift")
    with torch.no_grad():
        ends = network(torch.cat([inputs[:1], torch.full_like(inputs[:1], float(inputs[0].min()))]))[:, 1]
    assert abs(float(maps.sum() - (ends[0] - ends[1]))) < 0.01 * abs(float(ends[0] - ends[1]))
    told: list[int] = []
    with pytest.raises(Unsuitable, match=f"LRP is not defined for.*{WITHOUT_RULE[name]}"):
        explain(network, inputs[:1], 1, "lrp", progress=lambda done, _planned: told.append(done))
    assert told == []


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("method", [method for method in NAMES if method not in ("deep_lift", "lrp")])
def test_every_other_one_explains_shipped_bundles_and_a_densenet(name: str, method: str) -> None:
    network, inputs = NETWORKS[name]()
    few = {key: 40 for key in ("samples",) if key in method_named(method).details and method in ("lime", "kernel_shap")}
    maps = explain(network, inputs[:1], 1, method, references=inputs.flip(2), **few)
    assert maps.shape == (1, *inputs.shape[2:])
    assert maps.isfinite().all()
    assert maps.abs().max() > 0


@pytest.mark.parametrize("method", ["deep_lift", "deep_lift_shap"])
def test_an_activation_without_a_rule_is_named_with_its_layer_before_any_pass(method: str) -> None:
    network, told = GatedClassifier(2, 1, 2, (4, 8, 8, 8)).eval(), []
    with pytest.raises(
        Unsuitable, match=r"DeepLift is not defined for.*relu in gates.0 \(AttentionGate\), mul in gates"
    ):
        explain(network, images()[:1], 1, method, references=images(), progress=lambda *step: told.append(step))
    assert told == []


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace.*:DeprecationWarning")
def test_a_network_that_hides_its_inside_is_refused() -> None:
    traced = torch.jit.trace(Plain().eval(), images()[:1])
    for method in ("deep_lift", "lrp"):
        with pytest.raises(Unsuitable, match=r"cannot be seen without a pass|sums to"):
            explain(traced, images()[:1], 1, method)


def test_a_map_that_a_bias_took_its_share_of_never_leaves() -> None:
    class Biased(Linear):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(2 * 16 * 16, 2)
            nn.init.constant_(self.head.bias, 9.0)

    with pytest.raises(Unsuitable, match=r"A map of LRP sums to -?[\d.]+ on this network where the logit moved by"):
        explain(Biased(), IMAGE, 0, "lrp")


def test_a_sum_off_by_more_than_a_hundredth_is_refused_and_rounding_is_not() -> None:
    maps, logits = torch.tensor([[0.5, 0.499], [3.0, 1.0]]), torch.tensor([1.0, 4.0])
    check_complete("Any", maps, logits, logits)
    check_complete("Any", torch.zeros(1, 2), torch.tensor([1e-6]), torch.tensor([5.0]))
    for wrong in (torch.tensor([1.0, 4.1]), torch.tensor([-1.7e6, 4.0]), torch.tensor([float("nan"), 4.0])):
        with pytest.raises(Unsuitable, match="A map of Any sums to"):
            check_complete("Any", maps, wrong, logits)


def test_draws_are_of_the_seed_and_the_shared_generators_stay_as_they_were() -> None:
    network = Linear()
    torch.manual_seed(4)
    np.random.seed(4)
    expected = float(torch.rand(1)), np.random.random()
    for method in ("kernel_shap", "lime", "gradient_shap"):
        torch.manual_seed(4)
        np.random.seed(4)
        first = explain(network, IMAGE, 0, method, seed=1, references=OTHERS)
        assert (float(torch.rand(1)), np.random.random()) == expected
        assert torch.equal(first, explain(network, IMAGE, 0, method, seed=1, references=OTHERS))


def test_references_and_segments_are_asked_for_in_words() -> None:
    for method, name in (("gradient_shap", "GradientSHAP"), ("deep_lift_shap", "DeepLiftSHAP")):
        with pytest.raises(Unsuitable, match=f"{name} needs images of other subjects"):
            explain(Linear(), IMAGE, 0, method)
    with pytest.raises(UnknownName, match="at least 2"):
        explain(Linear(), IMAGE, 0, "lime", features=1)


def test_captum_is_in_the_fingerprint_of_its_methods_and_of_no_other() -> None:
    assert libraries_of(["gradcam", "xrai", "random"]) == ()
    assert libraries_of(["gradcam", "deep_lift"]) == ("captum",)
    assert libraries_of(["lime", "deep_lift"]) == ("captum", "scikit-learn")
    plain, with_captum = fingerprint("cpu"), fingerprint("cpu", libraries_of(["deep_lift"]))
    assert "captum" not in dict(plain.libraries)
    assert set(with_captum.libraries) - set(plain.libraries) == {("captum", dict(with_captum.libraries)["captum"])}


def test_the_product_loads_captum_where_a_method_or_criterion_asks_for_it_and_nowhere_else() -> None:
    importers = set()
    for path in (path for top in ("node", "inference", "reports") for path in (ROOT / top).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "captum" in text:
            tree = ast.parse(text)
            assert not _from_captum(tree.body), path
            importers |= {path.relative_to(ROOT).as_posix()} if _from_captum(ast.walk(tree)) else set()
    assert importers == {"inference/saliency/borrowed/captum_methods.py", "inference/criteria/infidelity.py"}


def _from_captum(nodes: Iterable[ast.AST]) -> list[ast.AST]:
    imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    return [node for node in imports if ast.unparse(node).split()[1].split(".")[0] == "captum"]
