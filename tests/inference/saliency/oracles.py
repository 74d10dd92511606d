"""Thin adapters to other people's saliency methods: captum, PAIR's saliency, MONAI and grad-cam, all as tensors."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from captum.attr import NoiseTunnel, Saliency
from monai.visualize.gradient_based import _GradReLU
from safetensors.torch import load_file, save_file
from saliency.core import BlurIG, GuidedIG, XRAIParameters
from saliency.core import xrai as pair_xrai_module
from saliency.core.base import INPUT_OUTPUT_GRADIENTS
from torch import nn

Answer = dict[str, np.ndarray]


def gradients_for_pair(model: nn.Module, target: int) -> Callable[..., Answer]:
    """Return the function by which PAIR's methods ask for the gradients of a logit; images are (N, H, W, C) there."""

    def answer(images: np.ndarray, call_model_args: object = None, expected_keys: object = None) -> Answer:
        points = torch.from_numpy(np.asarray(images, np.float32)).movedim(-1, 1).requires_grad_()
        gradient = torch.autograd.grad(model(points)[:, target].sum(), points)[0]
        return {INPUT_OUTPUT_GRADIENTS: gradient.movedim(1, -1).numpy()}

    return answer


@contextmanager
def numpy_as_before() -> Iterator[None]:
    """Yield numpy 2 the two names back that PAIR's saliency 0.2.1 uses: ``quantile(interpolation=)`` and ``trapz``."""
    quantile = np.quantile

    def quantile_of_numpy_1(values: np.ndarray, share: float, interpolation: str = "linear") -> np.ndarray:
        return quantile(values, share, method=interpolation)  # type: ignore[call-overload]

    with (
        mock.patch.object(np, "quantile", quantile_of_numpy_1),
        mock.patch.object(np, "trapz", np.trapezoid, create=True),
    ):
        yield


def _channels_last(image: torch.Tensor) -> np.ndarray:
    return image.movedim(0, -1).numpy()


def _summed(mask: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(mask).sum(axis=-1))


def pair_segments(image: torch.Tensor) -> list[np.ndarray]:
    """Return PAIR's pool of dilated Felzenszwalb segments of one image (C, H, W), as boolean masks (H, W)."""
    return pair_xrai_module._get_segments_felzenszwalb(_channels_last(image))


def pair_xrai(
    model: nn.Module,
    image: torch.Tensor,
    target: int,
    *,
    attribution: torch.Tensor | None = None,
    segments: Sequence[np.ndarray] | None = None,
    algorithm: str = "full",
    steps: int = 100,
) -> torch.Tensor:
    """Return PAIR's XRAI of one image, from a given attribution (C, H, W) or its own integrated gradients."""
    found = pair_xrai_module.XRAI().GetMaskWithDetails(
        _channels_last(image),
        gradients_for_pair(model, target),
        base_attribution=None if attribution is None else _channels_last(attribution),
        segments=None if segments is None else list(segments),
        batch_size=10,
        extra_parameters=XRAIParameters(algorithm=algorithm, steps=steps),
    )
    return torch.from_numpy(found.attribution_mask)


def pair_guided_ig(
    model: nn.Module,
    image: torch.Tensor,
    target: int,
    baseline: torch.Tensor,
    *,
    steps: int = 200,
    fraction: float = 0.25,
    max_distance: float = 0.02,
) -> torch.Tensor:
    """Return PAIR's Guided IG of one image (C, H, W)."""
    with numpy_as_before():
        found = GuidedIG().GetMask(
            _channels_last(image), gradients_for_pair(model, target), x_baseline=_channels_last(baseline),
            x_steps=steps, fraction=fraction, max_dist=max_distance,
        )  # fmt: skip
    return _summed(found)


def pair_blur_ig(
    model: nn.Module, image: torch.Tensor, target: int, *, steps: int = 100, max_sigma: float = 50.0
) -> torch.Tensor:
    """Return PAIR's Blur IG of one image (C, H, W)."""
    found = BlurIG().GetMask(
        _channels_last(image), gradients_for_pair(model, target), steps=steps, max_sigma=max_sigma, batch_size=10
    )
    return _summed(found)


@contextmanager
def points_passed(model: nn.Module) -> Iterator[list[torch.Tensor]]:
    """Collect every batch that goes through the network."""
    seen: list[torch.Tensor] = []
    handle = model.register_forward_pre_hook(lambda _model, arguments: seen.append(arguments[0].detach().clone()))
    try:
        yield seen
    finally:
        handle.remove()


def captum_smoothed(model: nn.Module, points: torch.Tensor, target: int, kind: str) -> torch.Tensor:
    """Return captum's NoiseTunnel over the gradient at these noisy points (n, C, H, W) of one image."""

    def these(_image: torch.Tensor, _stdev: float, _count: int) -> torch.Tensor:
        return points.clone()

    with mock.patch.object(NoiseTunnel, "_add_noise_to_input", staticmethod(these)):
        tunnel = NoiseTunnel(Saliency(model))
        found = tunnel.attribute(
            points[:1].clone(), nt_type=kind, nt_samples=len(points), stdevs=1.0, target=target, abs=False
        )
    return found.detach().sum(dim=1)[0]


def with_monais_relu(model: nn.Module) -> nn.Module:
    """Put MONAI's guided ReLU in the place of every ReLU.

    MONAI's ``GuidedBackpropGrad`` does so where "relu" is in a module's name, which in its own ResNet it never is.
    """
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.ReLU):
            model.set_submodule(name, _GradReLU())
    return model


def grad_cam(
    folder: Path, name: str, model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, layer: str,
    kinds: Sequence[str],
) -> dict[str, torch.Tensor]:  # fmt: skip
    """Return grad-cam's maps, (N, H, W) for each kind, made in a process of its own: see ``grad_cam_process``.

    Args:
        folder: where the question and the answer are left.
        name: of the network in ``cases``.
        model: the network; its weights are handed over.
        inputs: (N, C, H, W).
        targets: (N,) class indices.
        layer: dotted name.
        kinds: names of classes of ``pytorch_grad_cam``.
    """
    save_file(
        {
            **{f"weights.{key}": value.contiguous() for key, value in model.state_dict().items()},
            "inputs": inputs,
            "targets": targets,
        },
        folder / "question.safetensors",
    )
    (folder / "question.json").write_text(json.dumps({"network": name, "layer": layer, "kinds": list(kinds)}))
    command = [sys.executable, "-m", "tests.inference.saliency.grad_cam_process", str(folder)]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"grad-cam failed:\n{done.stderr}")
    return load_file(folder / "answer.safetensors")
