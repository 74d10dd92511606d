"""Does the map depend on what the network learned? Adebayo 2018, arXiv 1810.03292; Arun 2021, second criterion.

The randomised twin has the primary's architecture and new random weights in every layer. A map that hardly changes
when everything learned is thrown away shows the image or the architecture, not the model.
"""

import copy
import math

import torch
from torch import nn

from inference.bundle import Network
from inference.trust.agreement import spearman
from inference.trust.case import Case
from inference.trust.null import signal
from inference.trust.verdict import Signal

UNOWNED_STANDARD_DEVIATION = 0.02
"""For parameters that are neither weight nor bias, such as position embeddings (the value of ViT's own)."""


def twin_signals(case: Case) -> tuple[Signal, ...]:
    """Give the distance, 1 - Spearman, between the map and that of the randomised twin on the same input.

    Its null is the distance between the map and the *same* network's maps of other subjects of the class: how far the
    map moves when the image is another and the weights stay. Referenced, 0 says that throwing the weights away moves
    the map as much as changing the subject does, 1 that nothing of the map is left, below 0 that the map depends less
    on what was learned than on whose image it is: Arun's failure.
    """
    primary = case.bundle.primary(case.device)
    seed = case.map.seed
    other = Network(randomised(primary.module, seed=seed), primary.layer, f"randomised twin {seed}")
    own = case.map.values
    value = 1.0 - float(spearman(own, case.explained_by(other)[None])[0])
    subjects = case.null_maps(primary)
    return (
        signal(
            "randomised_twin_distance_spearman",
            f"distance from the weight-randomised twin (1 - Spearman; seed {seed})",
            value,
            nulls=[] if subjects is None else [1.0 - spearman(own, subjects)],
            seed=seed,
        ),
    )


def randomised(model: nn.Module, *, seed: int) -> nn.Module:
    """Copy a network and draw every parameter anew; the original and torch's own generator stay as they are.

    Weights and biases are drawn as torch's convolutions and linear layers draw theirs (He et al. 2015, uniform,
    a = sqrt 5); normalisation starts again from ones and zeros. The draw is made on the CPU, by a generator of its
    own: a seed gives the same twin on every device and in every thread.
    """
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    twin = copy.deepcopy(model).cpu()
    generator = torch.Generator().manual_seed(seed)
    with torch.inference_mode(mode=False), torch.no_grad():
        for module in twin.modules():
            if isinstance(module, _DRAWLESS):
                module.reset_parameters()
            else:
                _draw(module, generator)
    return twin.eval().requires_grad_(requires_grad=False).to(device)


_DRAWLESS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.PReLU)
"""Layers whose fresh parameters are constants."""


def _draw(module: nn.Module, generator: torch.Generator) -> None:
    weight = getattr(module, "weight", None)
    fan_in = weight[0].numel() if isinstance(weight, torch.Tensor) and weight.ndim > 1 else 0
    for name, parameter in module.named_parameters(recurse=False):
        if name == "bias" and fan_in:
            parameter.uniform_(-(fan_in**-0.5), fan_in**-0.5, generator=generator)
        elif name == "weight" and fan_in:
            nn.init.kaiming_uniform_(parameter, a=math.sqrt(5), generator=generator)
        else:
            parameter.normal_(std=UNOWNED_STANDARD_DEVIATION, generator=generator)
