"""The features of one layer: which layer a method reads, its activations and their gradient."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident

import torch
from torch import nn

from inference.batches import run_batched
from inference.errors import UnknownName
from inference.saliency.engine.members import Members


def feature_layers(model: nn.Module, inputs: torch.Tensor) -> dict[str, tuple[int, ...]]:
    """Return the modules whose output is a feature map larger than one pixel, in the order in which they finish.

    Args:
        model: the network.
        inputs: (N, C, *spatial); one sample is enough.

    Returns:
        Dotted module name to (channels, *spatial) of its output.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    here = get_ident()

    def note(name: str, output: object) -> None:
        if (
            here == get_ident()
            and isinstance(output, torch.Tensor)
            and output.ndim == inputs.ndim
            and min(output.shape[2:]) > 1
        ):
            shapes.pop(name, None)
            shapes[name] = tuple(output.shape[1:])

    handles = [
        module.register_forward_hook(lambda _module, _inputs, output, name=name: note(name, output))
        for name, module in model.named_modules()
        if name
    ]

    def passed(sample: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            model(sample)
        return sample[:, :0]

    try:
        run_batched(passed, inputs[:1])
    finally:
        for handle in handles:
            handle.remove()
    return shapes


def choose_layer(model: nn.Module, inputs: torch.Tensor, layer: str | None) -> str:
    """Return the layer asked for, or the last one with a feature map, which takes a pass to find; of a member, if any.

    Raises:
        UnknownName: there is no such layer; the message lists the layers with a feature map.
    """
    if isinstance(model, Members):
        return choose_layer(model.members[0], inputs, layer)
    if layer and layer in dict(model.named_modules()):
        return layer  # whether it gives a feature map is seen when it does
    candidates = feature_layers(model, inputs)
    if layer is None and candidates:
        return list(candidates)[-1]
    raise _without(model, inputs, layer)


def _without(model: nn.Module, inputs: torch.Tensor, layer: str | None) -> UnknownName:
    candidates = feature_layers(model, inputs)
    listed = ", ".join(list(candidates)[-12:]) or "none"
    missing = "a layer with a feature map" if layer is None else f"a feature map at layer {layer!r}"
    cure = f"The last layers that have one: {listed}."
    return UnknownName(f"The network has no {missing.removeprefix('a ')}.", cure=cure)


def activations(model: nn.Module, inputs: torch.Tensor, *, layer: str) -> torch.Tensor:
    """Return a layer's output without a gradient, (N, K, *grid).

    Raises:
        UnknownName: the output of the layer is not a feature map.
    """
    return logits_and_activations(model, inputs, layer=layer)[1]


def logits_and_activations(model: nn.Module, inputs: torch.Tensor, *, layer: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the logits, (N, classes), and a layer's output, (N, K, *grid), of one pass without a gradient.

    Of several members the outputs of all, one after the other: (N, K x members, *grid).

    Raises:
        UnknownName: the output of the layer is not a feature map.
    """
    if isinstance(model, Members):
        with torch.no_grad():
            logits = model(inputs)
        return logits, torch.cat([activations(member, inputs, layer=layer) for member in model.members], dim=1)
    with torch.no_grad(), _kept(model, layer, differentiated=False) as kept:
        logits = model(inputs)
    return logits, _checked(kept, model, inputs, layer)


def activations_and_gradients(
    model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, *, layer: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a layer's output and the gradient of each target's logit by it, both (N, K, *grid).

    Raises:
        UnknownName: the output of the layer is not a feature map.
    """
    with _kept(model, layer, differentiated=True) as kept:
        logits = model(inputs).gather(1, targets[:, None])
        features = _checked(kept, model, inputs, layer)
        gradient = torch.autograd.grad(logits.sum(), features)[0]
    return features.detach(), gradient


def _checked(kept: list[torch.Tensor], model: nn.Module, inputs: torch.Tensor, layer: str) -> torch.Tensor:
    if not kept or kept[-1].ndim != inputs.ndim or min(kept[-1].shape[2:]) <= 1:
        raise _without(model, inputs, layer)
    return kept[-1]


@contextmanager
def _kept(model: nn.Module, layer: str, *, differentiated: bool) -> Iterator[list[torch.Tensor]]:
    """Keep what a layer gives in this thread; where it is to be differentiated by, the network goes on from there."""
    kept: list[torch.Tensor] = []
    here = get_ident()

    def keep(_module: nn.Module, _inputs: object, output: torch.Tensor) -> torch.Tensor | None:
        if here != get_ident():
            return None  # another thread runs the same network: its features are not ours
        features = output.detach().requires_grad_(differentiated)
        kept.append(features)
        return features.clone()  # a following in-place ReLU must not change what is kept

    handle = model.get_submodule(layer).register_forward_hook(keep)
    try:
        yield kept
    finally:
        handle.remove()
