"""The one table of saliency methods, and the one way to run them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches

import torch
from torch import nn

from inference.errors import UnknownName
from inference.saliency.gradcam import GradCam
from inference.saliency.gradient import Gradient
from inference.saliency.integrated_gradients import IntegratedGradients
from inference.saliency.protocol import Method, MethodInfo, Parameter, Task, Value

_METHODS: Mapping[str, Method] = {method.info.name: method for method in (Gradient(), IntegratedGradients(), GradCam())}


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


def settle(name: str, parameters: Mapping[str, Value]) -> dict[str, Value]:
    """Give every parameter of a method: those given, checked, and the defaults of the others.

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
    **parameters: Value,
) -> torch.Tensor:
    """Explain the logit of one class on each input.

    Works under ``torch.inference_mode``; leaves the model as it was (mode, gradients, hooks), even after an error.
    The same seed gives the same bits.

    Args:
        model: gives logits (N, classes).
        inputs: (N, C, *spatial).
        targets: class index, one for all or (N,).
        method: see ``methods()``.
        seed: of every random draw of the method.
        layer: dotted module name, for methods that look at a layer; found by itself where left out.
        **parameters: of the method; defaults otherwise.

    Returns:
        Raw signed maps, (N, *spatial) float32, on the device of the inputs.

    Raises:
        UnknownName: no such method, parameter or layer.
        DeviceExhausted: out of memory with a batch of one.
    """
    settled = settle(method, parameters)
    with torch.inference_mode(mode=False), torch.enable_grad(), _evaluating(model):
        device = next((parameter.device for parameter in model.parameters()), inputs.device)
        plain = torch.Tensor.as_subclass(inputs, torch.Tensor).detach()
        task = Task(
            model=model,
            inputs=plain.clone().to(device=device, dtype=torch.float32),
            targets=torch.as_tensor(targets, device=device).clone().long().expand(len(inputs)),
            layer=layer,
            seed=seed,
            parameters=settled,
        )
        return _METHODS[method].explain(task).detach().float().to(inputs.device)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Put every module into evaluation mode and back."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
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
    return converted


def _unknown(what: str, name: str, valid: tuple[str, ...]) -> UnknownName:
    near = get_close_matches(name, valid, n=1, cutoff=0.4)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return UnknownName(f"There is no {what} {name!r}.", cure=f"{hint}There are: {', '.join(valid) or 'none'}.")
