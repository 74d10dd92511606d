"""Trains the two networks of ``cases`` and writes their weights: ``python -m tests.inference.saliency.fixed_weights``.

The weights are committed, so that what the tests ask of the networks does not hang on what a processor makes of a
training. A network is written only where it is sure of all images that are explained.
"""

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from tests.inference.saliency.cases import LAYERS, WEIGHTS, architecture, explained_slices, slices

STEPS = 400
BATCH = 24
LEAST_MARGIN = 2.0
"""Of the most likely class over the next, in logits."""


def train(name: str) -> nn.Module:
    """Train one network from its seed on noisy slices."""
    inputs, labels = slices()
    model = architecture(name).train()
    generator = torch.Generator().manual_seed(0)
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for _ in range(STEPS):
        drawn = torch.randperm(len(inputs), generator=generator)[:BATCH]
        noisy = inputs[drawn] + 0.03 * torch.randn(inputs[drawn].shape, generator=generator)
        optimiser.zero_grad()
        F.cross_entropy(model(noisy), labels[drawn], label_smoothing=0.02).backward()
        optimiser.step()
        schedule.step()
    return model.eval()


def margins(model: nn.Module) -> torch.Tensor:
    """Return how far the likeliest class lies above the next on each image that is explained, in logits."""
    with torch.no_grad():
        two = model(explained_slices()).topk(2, dim=1).values
    return two[:, 0] - two[:, 1]


def main() -> None:
    """Write the weights of both networks.

    Raises:
        RuntimeError: a network is not sure enough of an image.
    """
    torch.set_num_threads(1)
    WEIGHTS.mkdir(exist_ok=True)
    for name in sorted(LAYERS):
        model = train(name)
        least = float(margins(model).min())
        if least < LEAST_MARGIN:
            raise RuntimeError(f"{name}: the likeliest class is only {least:.2f} above the next on some image")
        save_file(model.state_dict(), WEIGHTS / f"{name}.safetensors")
        print(f"{name}: the likeliest class is at least {least:.2f} above the next on every image")


if __name__ == "__main__":
    main()
