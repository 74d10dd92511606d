"""Training a classifier whose class activation map is guided into the training masks.

The loss is cross entropy plus, for slices with a lesion, a weight times minus the logarithm of the share of the
positive class activation map of the true class that lies in mask cells, and, where a recipe asks for it, the cell loss
(``inference.companions.guidance``, which guides a site's own network too).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from inference.companions.guidance import cell_loss, guidance_loss, maps_and_logits, soft_dice
from inference.training.slices import Slices


@dataclass(frozen=True)
class Recipe:
    """Everything that shapes a training run beside data and architecture."""

    seed: int
    guidance: float
    """Weight of the guidance loss."""
    epochs: int = 20
    batch: int = 8
    learning_rate: float = 2e-3
    by_coverage: bool = False
    """Whether a cell of the mask counts by how much of it is lesion."""
    cells: float = 0.0
    """Weight of the cell loss. Without it and guidance, the plain classifier is trained."""
    negatives_per_positive: float = 1.2
    """Slices without a lesion drawn in an epoch for each one with a lesion."""
    mixed_precision: bool = False
    """Whether convolutions run in bfloat16 where the processor knows it: twice as fast there, ten times slower else."""


def pointing_share(model: nn.Module, layer: str, data: Slices) -> float:
    """Return the share of slices with a lesion where the highest cell of the true class' map lies in it.

    It does where the lesion covers at least half as much of it as of the cell it covers most.
    """
    device = next(model.parameters()).device
    hits: list[torch.Tensor] = []
    for index in torch.split(torch.nonzero(data.masks.flatten(1).any(dim=1))[:, 0], 32):
        with torch.no_grad():
            maps, _ = maps_and_logits(model, layer, data.inputs[index].to(device))
        own = maps[torch.arange(len(index)), data.labels[index].to(device)].flatten(1).cpu()
        cells = F.adaptive_avg_pool2d(data.masks[index], (maps.shape[2], maps.shape[3])).flatten(1)
        most = cells.amax(dim=1, keepdim=True)
        hits.append(cells.gather(1, own.argmax(dim=1, keepdim=True)) >= most / 2)
    return float(torch.cat(hits).float().mean())


def train_classifier(
    model: nn.Module, layer: str, data: Slices, recipe: Recipe, say: Callable[[str], None]
) -> nn.Module:
    """Train from the weights given; the same arguments on the same machine give the same weights."""

    def loss(inputs: torch.Tensor, masks: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if not recipe.guidance and not recipe.cells:
            return F.cross_entropy(model(inputs).float(), labels)
        maps, logits = maps_and_logits(model, layer, inputs)
        total = F.cross_entropy(logits, labels)
        if recipe.guidance:
            own = maps[torch.arange(len(labels)), labels].relu()
            total = total + recipe.guidance * guidance_loss(own, masks, by_coverage=recipe.by_coverage)
        if recipe.cells:
            total = total + recipe.cells * cell_loss(maps, masks, labels)
        return total

    return train(model, data, recipe, loss, say)


def train_localiser(model: nn.Module, data: Slices, recipe: Recipe, say: Callable[[str], None]) -> nn.Module:
    """Train a segmentation network on the masks: cross entropy plus soft Dice (Milletari et al. 2016)."""

    def loss(inputs: torch.Tensor, masks: torch.Tensor, _labels: torch.Tensor) -> torch.Tensor:
        logits = model(inputs).float()
        probability = logits.sigmoid()
        return F.binary_cross_entropy_with_logits(logits, masks) + soft_dice(probability, masks)

    return train(model, data, recipe, loss, say)


Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Of inputs (N, 1, S, S), masks (N, 1, S, S) and labels (N,)."""


def train(model: nn.Module, data: Slices, recipe: Recipe, loss: Loss, say: Callable[[str], None]) -> nn.Module:
    """Minimise a loss by AdamW under a one-cycle schedule on augmented slices; give the model in evaluation mode.

    It runs where the model is; every draw is made on the CPU, the same for every device.
    """
    generator = torch.Generator().manual_seed(recipe.seed)
    has_lesion = data.masks.flatten(1).any(dim=1)
    positive, negative = (torch.nonzero(which)[:, 0] for which in (has_lesion, ~has_lesion))
    drawn = min(len(negative), int(len(positive) * recipe.negatives_per_positive))
    batches = -(-(len(positive) + drawn) // recipe.batch)
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=recipe.epochs * batches, pct_start=0.2
    )
    device = next(model.parameters()).device
    all_inputs, all_masks, all_labels = (of.to(device) for of in (data.inputs, data.masks, data.labels))
    halved = recipe.mixed_precision and knows_bfloat16(device)
    began = time.monotonic()
    for epoch in range(1, recipe.epochs + 1):
        model.train()
        chosen = torch.cat([positive, negative[torch.randperm(len(negative), generator=generator)[:drawn]]])
        total = torch.zeros((), device=device)
        for index in torch.split(chosen[torch.randperm(len(chosen), generator=generator)], recipe.batch):
            inputs, masks = augment(all_inputs[index], all_masks[index], generator)
            with torch.autocast(device.type, torch.bfloat16, enabled=halved):
                value = loss(inputs, masks, all_labels[index])
            optimiser.zero_grad()
            value.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            total = total + value.detach()
        say(f"epoch {epoch}/{recipe.epochs}, loss {float(total) / batches:.3f}, {time.monotonic() - began:.0f} s")
    return model.eval()


def knows_bfloat16(device: torch.device) -> bool:
    """Whether a device computes in bfloat16 by instructions of its own."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def augment(inputs: torch.Tensor, masks: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Flip, turn (10 degrees), scale (10 %), shift (5 %), and change gamma and gain of each slice a little."""
    count = len(inputs)

    def spread(width: float) -> torch.Tensor:
        return (torch.rand(count, generator=generator) - 0.5) * 2 * width

    angle, scale = spread(0.17), 1 + spread(0.1)
    flip = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    matrix = torch.zeros(count, 2, 3)
    matrix[:, 0, 0], matrix[:, 0, 1] = angle.cos() * scale * flip, -angle.sin() * scale
    matrix[:, 1, 0], matrix[:, 1, 1] = angle.sin() * scale * flip, angle.cos() * scale
    matrix[:, :, 2] = torch.stack([spread(0.05), spread(0.05)], dim=1)
    grid = F.affine_grid(matrix.to(inputs.device), list(inputs.shape), align_corners=False)
    moved = F.grid_sample(torch.cat([inputs, masks], dim=1), grid, align_corners=False)
    gamma, gain = (of[:, None, None, None].to(inputs.device) for of in (spread(0.25).exp(), 1 + spread(0.1)))
    return moved[:, :1].clamp(0, 1).pow(gamma) * gain, moved[:, 1:]
