"""The one table of saliency methods, and the one way to run them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from difflib import get_close_matches
from functools import partial

import torch
from torch import nn

from inference.batches import BUDGET_BYTES
from inference.errors import UnknownName
from inference.saliency.borrowed.captum_methods import CAPTUM
from inference.saliency.cam.attention import Attention
from inference.saliency.cam.class_mixture import ClassMixture
from inference.saliency.cam.gradcam import GradCam, GradCamPlusPlus, GuidedGradCam
from inference.saliency.cam.scorecam import ScoreCam
from inference.saliency.cam.smoothed_gradcam import SmoothedGradCam
from inference.saliency.controls.controls import CONTROLS
from inference.saliency.engine.members import Members
from inference.saliency.engine.passes import Clock, Passes, Progress
from inference.saliency.engine.protocol import Method, MethodInfo, Parameter, Task, Value
from inference.saliency.gradient.blur_integrated_gradients import BlurIntegratedGradients
from inference.saliency.gradient.gradient import Gradient
from inference.saliency.gradient.guided_backprop import DECONVOLUTION, GUIDED_BACKPROP
from inference.saliency.gradient.guided_integrated_gradients import GuidedIntegratedGradients
from inference.saliency.gradient.integrated_gradients import (
    ExpectedGradients,
    IntegratedGradients,
    SmoothIntegratedGradients,
)
from inference.saliency.gradient.smoothgrad import NoiseMoment, SmoothGrad
from inference.saliency.gradient.xrai import Xrai
from inference.saliency.perturbation.occlusion import Occlusion
from inference.saliency.perturbation.rise import Rise

_TABLE: tuple[Method, ...] = (
    Gradient(),
    SmoothGrad(NoiseMoment.MEAN, "how much the logit rises when a pixel gets brighter, steadied by noise"),
    SmoothGrad(NoiseMoment.SQUARE, "how strongly the logit reacts to a pixel, steadied by noise"),
    SmoothGrad(NoiseMoment.VARIANCE, "how much the reaction to a pixel varies under noise"),
    IntegratedGradients(),
    SmoothIntegratedGradients(),
    ExpectedGradients(),
    GuidedIntegratedGradients(),
    BlurIntegratedGradients(),
    GUIDED_BACKPROP,
    DECONVOLUTION,
    GradCam(),
    SmoothedGradCam(),
    GradCamPlusPlus(),
    GuidedGradCam(),
    ScoreCam(),
    ClassMixture(),
    Attention(),
    Xrai(),
    Occlusion(),
    Rise(),
    *CAPTUM,
    *CONTROLS,
)
_METHODS: Mapping[str, Method] = {method.info.name: method for method in _TABLE}


def methods() -> tuple[MethodInfo, ...]:
    """Describe every method: paper, parameters with defaults, whether it needs a layer."""
    return tuple(method.info for method in _METHODS.values())


def method_named(name: str) -> MethodInfo:
    """Describe one method.

    Raises:
        UnknownName: there is none of this name; the message gives the nearest and all.
    """
    if name not in _METHODS:
        raise _unknown("saliency method", name, tuple(_METHODS))
    return _METHODS[name].info


def libraries_of(names: Iterable[str]) -> tuple[str, ...]:
    """Return the distributions that only these methods depend on, sorted: for the fingerprint of what uses them.

    Raises:
        UnknownName: there is no method of one of these names.
    """
    return tuple(sorted({library for name in names for library in method_named(name).libraries}))


def settle(name: str, parameters: Mapping[str, Value]) -> dict[str, Value]:
    """Return every parameter of a method: those given, checked, and the defaults of the others.

    Raises:
        UnknownName: no such method or parameter, or a value it does not take.
    """
    info = method_named(name)
    for given in parameters:
        if given not in info.details:
            raise _unknown(f"parameter of {name}", given, tuple(info.details))
    return {
        key: _checked(f"{name}.{key}", parameter, parameters.get(key, parameter.default))
        for key, parameter in info.details.items()
    }


def explain(
    model: nn.Module,
    inputs: torch.Tensor,
    targets: int | torch.Tensor,
    method: str,
    *,
    seed: int = 0,
    layer: str | None = None,
    references: torch.Tensor | None = None,
    prior: torch.Tensor | None = None,
    keep_channels: bool = False,
    budget_bytes: int = BUDGET_BYTES,
    progress: Progress | None = None,
    autocast: bool = False,
    **parameters: Value,
) -> torch.Tensor:
    """Explain the logit of one class on each input.

    Works under ``torch.inference_mode``; leaves the model as it was (mode, gradients, hooks), even after an error.
    The same seed gives the same bits on the same device.

    Args:
        model: gives logits (N, classes).
        inputs: (N, C, *spatial).
        targets: class index, one for all or (N,).
        method: see ``methods()``.
        seed: of every random draw of the method.
        layer: dotted module name, for methods that look at a layer; found by itself where left out.
        references: (M, C, *spatial) images of other subjects, for expected gradients.
        prior: (*spatial) mean of lesion masks, for the control average_mask.
        keep_channels: give (N, C, *spatial) as the method made it, C or 1 channels, instead of the sum over them.
        budget_bytes: bound of memory for activations; batches adapt to it.
        progress: told after every batch: samples passed, samples known to be needed.
        autocast: run the network in bfloat16 where torch deems it safe: faster on a GPU, less exact.
        **parameters: of the method; defaults otherwise.

    Returns:
        Raw signed maps, (N, *spatial) float32, on the device of the inputs.

    Raises:
        UnknownName: no such method, parameter or layer.
        Unsuitable: the method does not fit this network, or lacks the images it needs.
        DeviceExhausted: out of memory with a batch of one.
    """
    return explain_many(
        model,
        inputs,
        targets,
        {method: parameters},
        seed=seed,
        layer=layer,
        references=references,
        prior=prior,
        keep_channels=keep_channels,
        budget_bytes=budget_bytes,
        progress=progress,
        autocast=autocast,
    )[method]


def explain_many(
    model: nn.Module,
    inputs: torch.Tensor,
    targets: int | torch.Tensor,
    wanted: Sequence[str] | Mapping[str, Mapping[str, Value]],
    *,
    seed: int = 0,
    layer: str | None = None,
    references: torch.Tensor | None = None,
    prior: torch.Tensor | None = None,
    keep_channels: bool = False,
    budget_bytes: int = BUDGET_BYTES,
    progress: Progress | None = None,
    autocast: bool = False,
    clock: Clock | None = None,
) -> dict[str, torch.Tensor]:
    """Explain by several methods, which share every pass of the network through the same point.

    ``wanted`` holds the names of methods, or each with its parameters; everything else is as for ``explain`` and the
    same for every method. ``clock`` counts the time inside the network.

    Returns:
        The maps of each method, in the order asked for; bit-identical to those of ``explain`` where the batches are
        the same. Of a network of several members (``engine/members.py``) every member is explained by itself, and the
        maps are joined as it says.

    Raises:
        UnknownName, Unsuitable, DeviceExhausted: as ``explain``; nothing is computed if a name is wrong.
    """
    named = wanted if isinstance(wanted, Mapping) else {name: {} for name in wanted}
    settled = {name: settle(name, given) for name, given in named.items()}
    if isinstance(model, Members):
        of_member = partial(
            explain_many, inputs=inputs, targets=targets, wanted=settled, seed=seed, layer=layer,
            references=references, prior=prior, keep_channels=keep_channels, budget_bytes=budget_bytes,
            progress=progress, autocast=autocast, clock=clock,
        )  # fmt: skip
        return model.joined([of_member(member) for member in model.members])
    with torch.inference_mode(mode=False), torch.enable_grad(), _evaluating(model):
        device = next((parameter.device for parameter in model.parameters()), inputs.device)
        passes = Passes(
            model, budget_bytes=budget_bytes, progress=progress, autocast=autocast, clock=clock,
            remember=len(settled) > 1,
        )  # fmt: skip
        task = Task(
            model=model,
            inputs=_plain(inputs, device),
            targets=torch.as_tensor(targets, device=device).clone().long().expand(len(inputs)),
            layer=layer,
            seed=seed,
            parameters={},
            passes=passes,
            references=None if references is None else _plain(references, references.device),
            prior=None if prior is None else _plain(prior, device),
        )
        maps: dict[str, torch.Tensor] = {}
        for name, parameters in settled.items():
            made = _METHODS[name].explain(replace(task, parameters=parameters)).detach().float()
            maps[name] = (made if keep_channels else made.sum(dim=1)).to(inputs.device)
        return maps


def _plain(images: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Copy to the device as an ordinary float32 tensor: no subclass, no inference tensor."""
    plain = torch.Tensor.as_subclass(images, torch.Tensor).detach()
    return plain.clone().to(device=device, dtype=torch.float32)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Put every module into evaluation mode and freeze its parameters, and back: gradients by them cost memory."""
    training = [module for module in model.modules() if module.training]
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.eval()
    for parameter in learning:
        parameter.requires_grad = False
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad = True
        for module in training:
            module.training = True


def _checked(name: str, parameter: Parameter, value: Value) -> Value:
    kind = type(parameter.default)
    converted = float(value) if kind is float and type(value) is int else value
    if type(converted) is not kind:
        raise UnknownName(f"{name} takes {kind.__name__}, not {value!r}.")
    if parameter.choices and converted not in parameter.choices:
        raise _unknown(f"{name}", str(value), parameter.choices)
    if parameter.minimum is not None and not isinstance(converted, str) and converted < parameter.minimum:
        raise UnknownName(f"{name} must be at least {parameter.minimum:g}, not {value!r}.")
    if parameter.maximum is not None and not isinstance(converted, str) and converted > parameter.maximum:
        raise UnknownName(f"{name} must be at most {parameter.maximum:g}, not {value!r}.")
    return converted


def _unknown(what: str, name: str, valid: tuple[str, ...]) -> UnknownName:
    near = get_close_matches(name, valid, n=1, cutoff=0.4)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return UnknownName(f"There is no {what} {name!r}.", cure=f"{hint}There are: {', '.join(valid) or 'none'}.")
