"""Our maps against other people's, on two MONAI networks of fixed weights and eight phantom slices each."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from captum.attr import (
    Deconvolution,
    GradientShap,
    GuidedBackprop,
    GuidedGradCam,
    IntegratedGradients,
    NoiseTunnel,
    Occlusion,
    Saliency,
)
from monai.visualize import VanillaGrad
from torch import nn

from inference.saliency import explain
from inference.saliency.gradient.segments import segments
from tests.inference.saliency import oracles
from tests.inference.saliency.cases import LAYERS, images, predicted, trained
from tests.inference.saliency.likeness import ALIKE, difference, pearson

NAMES = sorted(LAYERS)
both = pytest.mark.parametrize("name", NAMES)


def asked(name: str) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    return trained(name), images(), predicted(name)


def black(inputs: torch.Tensor) -> torch.Tensor:
    return inputs.flatten(1).amin(dim=1).reshape(-1, 1, 1, 1).expand_as(inputs)


def spread(inputs: torch.Tensor) -> float:
    return float(inputs.max() - inputs.min())


def each(found: torch.Tensor, oracle: torch.Tensor, measure: Callable[..., float]) -> np.ndarray:
    """Measure map by map."""
    return np.array([measure(one, other) for one, other in zip(found, oracle.detach(), strict=True)])


@pytest.mark.numerics
@both
def test_the_cases_are_worth_asking_about(name: str) -> None:
    model, inputs, targets = asked(name)
    assert len(set(targets.tolist())) >= 2
    with torch.no_grad():
        first, second = model(inputs).topk(2, dim=1).values.T
    assert (first - second).min() > 1, "no rounding makes another class the likeliest"
    maps = explain(model, inputs, targets, "gradient")
    assert (maps.flatten(1).std(dim=1) > 1e-3).all()
    between = np.corrcoef(maps.flatten(1).numpy())
    assert np.abs(between[~np.eye(8, dtype=bool)]).max() < 0.95


@pytest.mark.numerics
@both
def test_gradient(name: str) -> None:
    model, inputs, targets = asked(name)
    oracle = Saliency(model).attribute(inputs.clone().requires_grad_(), target=targets, abs=False).sum(dim=1)
    assert each(explain(model, inputs, targets, "gradient"), oracle, difference).max() < ALIKE


@pytest.mark.numerics
@pytest.mark.parametrize(
    ("method", "kind"),
    [("smoothgrad", "smoothgrad"), ("smoothgrad_squared", "smoothgrad_sq"), ("vargrad", "vargrad")],
)
@both
def test_smoothed_gradients_given_the_same_noise(name: str, method: str, kind: str) -> None:
    model, inputs, targets = asked(name)
    for image, target in zip(inputs, targets.tolist(), strict=True):
        with oracles.points_passed(model) as batches:
            found = explain(model, image[None], target, method, samples=12, noise=0.2, seed=3)[0]
        points = torch.cat(batches)
        assert len(points) == 12
        assert difference(found, oracles.captum_smoothed(model, points, target, kind)) < ALIKE


@pytest.mark.numerics
@both
def test_the_noise_has_the_spread_asked_for(name: str) -> None:
    model, inputs, targets = asked(name)
    image = inputs[:1] * 3
    with oracles.points_passed(model) as batches:
        explain(model, image, targets[:1], "smoothgrad", samples=64, noise=0.15)
    noise = torch.cat(batches) - image
    assert float(noise.std()) == pytest.approx(0.15 * spread(image), rel=0.01)
    assert abs(float(noise.mean())) < 0.01 * float(noise.std())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "kind"),
    [("smoothgrad", "smoothgrad"), ("smoothgrad_squared", "smoothgrad_sq"), ("vargrad", "vargrad")],
)
@both
def test_smoothed_gradients_given_their_own_noise(name: str, method: str, kind: str) -> None:
    """Two runs of captum with 600 samples tell how far apart chance alone puts two maps; wrong noise is farther off."""
    model, inputs, targets = asked(name)
    image, target = inputs[1:2], int(targets[1])
    torch.manual_seed(7)

    def captums() -> torch.Tensor:
        tunnel, stdev = NoiseTunnel(Saliency(model)), 0.15 * spread(image)
        return tunnel.attribute(
            image, nt_type=kind, nt_samples=600, nt_samples_batch_size=10, stdevs=stdev, target=target, abs=False
        ).sum(dim=1)[0]

    first, second = captums(), captums()
    found, other = (explain(model, image, target, method, samples=600, noise=noise)[0] for noise in (0.15, 0.3))
    assert difference(found, first) < 2 * difference(second, first) < difference(other, first)
    assert pearson(found, first) > 0.9


@pytest.mark.numerics
@pytest.mark.parametrize("steps", [7, 24])
@both
def test_integrated_gradients_by_the_same_quadrature(name: str, steps: int) -> None:
    """The weights of captum's trapezoid of n points sum to (n - 1) / n, ours to one."""
    model, inputs, targets = asked(name)
    oracle = IntegratedGradients(model).attribute(
        inputs, black(inputs), target=targets, n_steps=steps + 1, method="riemann_trapezoid", internal_batch_size=16
    )
    found = explain(model, inputs, targets, "integrated_gradients", steps=steps, baseline="black", complete=False)
    assert each(found, oracle.sum(dim=1) * (steps + 1) / steps, difference).max() < ALIKE


def rises(model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return (model(inputs) - model(start)).gather(1, targets[:, None])[:, 0]


@pytest.mark.numerics
@pytest.mark.parametrize("baseline", ["black", "white"])
@both
def test_integrated_gradients_are_complete_within_a_hundredth(name: str, baseline: str) -> None:
    """Each map as it comes; uncorrected by many steps, summed over the images."""
    model, inputs, targets = trained(name), images()[::2], predicted(name)[::2]
    start = black(inputs) if baseline == "black" else -black(-inputs)
    rise = rises(model, inputs, targets, start)
    assert rise.abs().min() > 1, "a hundredth of the rise is far above what is rounded"
    maps = explain(model, inputs, targets, "integrated_gradients", baseline=baseline)
    assert ((maps.sum(dim=(1, 2)) - rise).abs() < 0.01 * rise.abs()).all()
    if baseline == "black":
        maps = explain(model, inputs, targets, "integrated_gradients", steps=300, complete=False)
        assert (maps.sum(dim=(1, 2)) - rise).abs().sum() < 0.01 * rise.abs().sum()


@pytest.mark.numerics
@both
def test_integrated_gradients_as_they_come_are_near_captums_converged(name: str) -> None:
    model, inputs, targets = asked(name)
    converged = IntegratedGradients(model).attribute(
        inputs, black(inputs), target=targets, n_steps=300, internal_batch_size=16
    )
    found = explain(model, inputs, targets, "integrated_gradients")
    assert each(found, converged.sum(dim=1), difference).mean() < 0.15
    assert each(found, converged.sum(dim=1), pearson).min() > 0.98


@pytest.mark.numerics
@both
def test_expected_gradients_of_one_black_reference_are_integrated_gradients_in_the_mean(name: str) -> None:
    model, inputs, targets = asked(name)
    image, target, reference = inputs[:1], int(targets[0]), black(inputs[:1])
    oracle = IntegratedGradients(model).attribute(image, reference, target=target, n_steps=300, internal_batch_size=10)
    found = explain(model, image, target, "expected_gradients", samples=300, references=reference.clone())
    assert pearson(found, oracle.sum(dim=1)) > 0.99


@pytest.mark.slow
@both
def test_expected_gradients_are_captums_gradient_shap_in_the_mean(name: str) -> None:
    model, inputs, targets = asked(name)
    image, target = inputs[:1], int(targets[0])
    torch.manual_seed(7)

    def captums() -> torch.Tensor:
        runs = [
            GradientShap(model).attribute(image, inputs[1:], n_samples=50, stdevs=0.0, target=target).detach()
            for _ in range(24)
        ]
        return torch.stack(runs).mean(dim=0).sum(dim=1)

    first, second = captums(), captums()
    found = explain(model, image, target, "expected_gradients", samples=1200, references=inputs[1:])
    assert difference(found, first) < 2 * difference(second, first)


@pytest.mark.numerics
@pytest.mark.parametrize(("method", "peer"), [("guided_backprop", GuidedBackprop), ("deconvolution", Deconvolution)])
@both
def test_rules_of_propagation_are_captums(
    name: str, method: str, peer: Callable[[nn.Module], GuidedBackprop | Deconvolution]
) -> None:
    model, inputs, targets = asked(name)
    with pytest.warns(UserWarning, match="backward hooks"):
        oracle = peer(trained(name, inplace=False)).attribute(inputs.clone().requires_grad_(), target=targets)
    assert each(explain(model, inputs, targets, method), oracle.sum(dim=1), difference).max() < ALIKE


@pytest.mark.numerics
@both
def test_guided_backprop_is_monais(name: str) -> None:
    model, inputs, targets = asked(name)
    found, other = explain(model, inputs, targets, "guided_backprop"), oracles.with_monais_relu(trained(name))
    for image, target, ours in zip(inputs, targets.tolist(), found, strict=True):
        assert difference(ours, VanillaGrad(other)(image[None].clone(), index=target)) < ALIKE


@pytest.mark.numerics
@both
def test_guided_gradcam_is_captums(name: str) -> None:
    model, inputs, targets = asked(name)
    other = trained(name, inplace=False)
    with pytest.warns(UserWarning, match="backward hooks"):
        oracle = GuidedGradCam(other, other.get_submodule(LAYERS[name])).attribute(
            inputs.clone().requires_grad_(), target=targets, interpolate_mode="bilinear"
        )
    found = explain(model, inputs, targets, "guided_gradcam", layer=LAYERS[name])
    assert each(found, oracle.sum(dim=1), pearson).min() > 0.999


@pytest.mark.slow
@both
def test_class_activation_maps_are_grad_cams(name: str, tmp_path: Path) -> None:
    model, inputs, targets = asked(name)
    kinds = {"gradcam": "GradCAM", "gradcam_plus_plus": "GradCAMPlusPlus", "scorecam": "ScoreCAM"}
    oracle = oracles.grad_cam(tmp_path, name, model, inputs, targets, LAYERS[name], list(kinds.values()))
    for method, kind in kinds.items():
        same = {"scorecam": {"channels": 0}, "gradcam_plus_plus": {"epsilon": 1e-6}}.get(method, {})
        found = explain(model, inputs, targets, method, layer=LAYERS[name], **same)
        assert each(found, oracle[kind], pearson).min() > 0.999, method


@pytest.mark.numerics
def test_segments_are_pairs() -> None:
    """PAIR also keeps segments that no pixel is left of after the labels were resized."""
    for image in images()[::3]:
        ours = segments(image.double().numpy()).toarray().reshape(-1, *image.shape[1:])
        theirs = [mask for mask in oracles.pair_segments(image.double()) if mask.any()]
        assert len(ours) == len(theirs) > 50
        assert all(np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "algorithm"), [("resnet", "full"), ("densenet", "fast")])
def test_xrai_is_pairs_given_the_same_attributions(name: str, algorithm: str) -> None:
    model, inputs, targets = asked(name)
    same = {"steps": 12, "baseline": "black_and_white"}
    attributions = explain(model, inputs, targets, "integrated_gradients", keep_channels=True, **same)
    found = explain(model, inputs, targets, "xrai", algorithm=algorithm, **same)
    for image, target, attribution, ours in zip(inputs, targets.tolist(), attributions, found, strict=True):
        oracle = oracles.pair_xrai(model, image, target, attribution=attribution, algorithm=algorithm)
        assert pearson(ours, oracle) > 0.99


@pytest.mark.numerics
@both
def test_guided_integrated_gradients_are_pairs(name: str) -> None:
    """One image at a time, and the median: the way forks at the last bit.

    PAIR's own map of an image times 1.0000001 may correlate with that of the image at no more than 0.80, and
    convolutions of another batch size differ by as much.
    """
    model, inputs, targets = asked(name)
    same = {"steps": 40, "fraction": 0.25, "max_distance": 0.02}
    alike = [
        pearson(
            explain(model, image[None], target, "guided_integrated_gradients", baseline="black", **same)[0],
            oracles.pair_guided_ig(model, image, target, start, **same),
        )
        for image, target, start in zip(inputs, targets.tolist(), black(inputs), strict=True)
    ]
    assert np.median(alike) > 0.99
    assert min(alike) > 0.7


@pytest.mark.numerics
@pytest.mark.parametrize("thin", [False, True])
@both
def test_blur_integrated_gradients_are_pairs(name: str, thin: bool) -> None:
    model, inputs, targets = asked(name)
    same = {"steps": 30, "max_sigma": 20.0}
    found = explain(model, inputs, targets, "blur_integrated_gradients", thin=thin, **same)
    for image, target, ours in zip(inputs, targets.tolist(), found, strict=True):
        assert pearson(ours, oracles.pair_blur_ig(model, image, target, **same)) > (0.98 if thin else 0.99)


@pytest.mark.numerics
@both
def test_occlusion_on_every_position_is_captums(name: str) -> None:
    model, inputs, targets = asked(name)
    oracle = Occlusion(model).attribute(
        inputs, (1, 16, 16), strides=(1, 8, 8), baselines=black(inputs), target=targets, perturbations_per_eval=4
    )
    found = explain(model, inputs, targets, "occlusion", window=16, stride=8, share=1.0)
    assert each(found, oracle.sum(dim=1), difference).max() < ALIKE
