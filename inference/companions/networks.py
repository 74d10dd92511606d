"""A bundle's primary as something that can be trained: its weights, its head, and whether its map can be guided."""

import copy

import torch
from torch import nn

from inference.batches import is_lost
from inference.bundle.bundle import Bundle
from inference.bundle.script.archive import is_script
from inference.companions.guidance import last_linear, maps_and_logits
from inference.errors import Unsuitable
from inference.saliency.engine.layers import choose_layer
from inference.saliency.engine.members import Members

CAM_TOLERANCE = 1e-3
"""Of the logits, set against the largest: how near mean and bias of the class activation maps must come to them."""


def trainable(bundle: Bundle) -> nn.Module:
    """Return a copy of the primary whose weights can be trained; of several members, of the first.

    Raises:
        Unsuitable: it is a TorchScript program.
    """
    entry = bundle.manifest.primary
    if is_script(bundle.folder / entry.file):
        raise Unsuitable(
            f"{entry.file} is a TorchScript program: its head cannot be drawn anew, and what is trained could not be "
            "stored as one.",
            cure="Put the state_dict of the network it was made from into the bundle as safetensors, with its "
            "network_def; or leave out what starts from it: --replicates 0, without --guide.",
        )
    module = bundle.primary().module
    with torch.inference_mode(False):
        network: nn.Module = copy.deepcopy(module.members[0] if isinstance(module, Members) else module)
        return network.requires_grad_(True)


def fresh(bundle: Bundle, seed: int) -> nn.Module:
    """Return a network of the primary's architecture with random weights of its own."""
    network = trainable(bundle)
    torch.manual_seed(seed)
    network.load_state_dict(bundle.configuration.network(bundle.manifest.primary.network).state_dict())
    return network


def with_new_head(bundle: Bundle, seed: int, weights: dict[str, torch.Tensor] | None = None) -> nn.Module:
    """Return a copy of the primary whose last layer with weights is drawn anew.

    Args:
        bundle: whose primary.
        seed: of the draw.
        weights: in place of the primary's own.

    Raises:
        Unsuitable: it is a TorchScript program, or that layer cannot be drawn anew.
    """
    network = trainable(bundle)
    if weights is not None:
        network.load_state_dict(weights)
    head = head_of(network, blank_input(bundle))
    torch.manual_seed(seed)
    head.reset_parameters()
    return network


def blank_input(bundle: Bundle) -> torch.Tensor:
    """Return two inputs of noise of the bundle's size, (2, C, *spatial)."""
    entry = bundle.manifest.input
    return torch.rand(2, entry.channel_count, *entry.spatial_size, generator=torch.Generator().manual_seed(0))


def head_of(network: nn.Module, inputs: torch.Tensor) -> nn.Linear | nn.Conv2d | nn.Conv3d:
    """Return the layer with weights that a pass ends in.

    Raises:
        Unsuitable: it is neither linear nor a convolution.
    """
    last: list[nn.Module] = []
    with_weights = [m for m in network.modules() if list(m.parameters(recurse=False)) and not list(m.children())]
    handles = [module.register_forward_hook(lambda m, _i, _o: last.append(m)) for module in with_weights]
    was_training = network.training
    try:
        with torch.no_grad():
            network.eval()(inputs[:1])
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()
    if not last or not isinstance(last[-1], (nn.Linear, nn.Conv2d, nn.Conv3d)):
        kind = type(last[-1]).__name__ if last else "nothing"
        raise Unsuitable(
            f"The last layer of the primary is {kind}: it cannot be drawn anew.",
            cure="Train the replicates from random weights: --from scratch.",
        )
    return last[-1]


def guided_layer(network: nn.Module, inputs: torch.Tensor, layer: str | None, activation: str) -> str:
    """Return the layer whose class activation maps can be guided: their means and a bias are the logits.

    Raises:
        Unsuitable: the network has none.
    """
    name = choose_layer(network, inputs, layer)
    last = last_linear(network)
    with torch.no_grad():
        network.eval()
        try:
            maps, logits = maps_and_logits(network, name, inputs)
        except (RuntimeError, ValueError) as error:
            if is_lost(error) or isinstance(error, torch.OutOfMemoryError):
                raise  # the device's fault, not the network's
            maps, logits = torch.zeros(0), torch.ones(1)
    bias = 0 if last is None or last.bias is None else last.bias.detach()
    means = maps.flatten(2).mean(dim=2) + bias if maps.ndim > 3 else maps
    is_one = means.shape == logits.shape
    if activation == "ordinal" or not is_one or (means - logits).abs().max() > CAM_TOLERANCE * logits.abs().max():
        raise Unsuitable(
            f"The class activation map of {type(network).__name__} cannot be guided: its logits are not one linear "
            f"layer on the means of {name}.",
            cure="Leave out --guide; DenseNet, ResNet and EfficientNet of MONAI can be guided.",
        )
    return name
