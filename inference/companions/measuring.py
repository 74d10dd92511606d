"""What a trained network does on patients it did not learn from: its classes, and where its map's peak lies."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from inference.batches import run_batched
from inference.companions.data import batch_of
from inference.companions.losses import probabilities
from inference.companions.training import TrainingSet
from inference.errors import Refused
from inference.saliency import explain
from inference.saliency.engine.maps import peak_of
from inference.statistics.bootstrap import Difference, Interval, mean_by_group, paired_difference
from inference.statistics.seeds import drawn

MOST_MAPS = 60
"""Cases whose maps are made for one figure."""
SEED = 17
ACTIVATIONS = 512
"""Bytes of activations assumed for each byte of an image."""
Scores = NDArray[np.float64]
Maps = NDArray[np.float32]


@dataclass(frozen=True)
class MeanFigure:
    """A mean over cases with its 95 % interval over patients."""

    value: float
    low: float | None
    high: float | None
    cases: int
    patients: int

    @classmethod
    def of(cls, interval: Interval) -> "MeanFigure":
        """Take it from an interval."""
        return cls(interval.value, interval.low, interval.high, interval.n, interval.groups)

    @property
    def words(self) -> str:
        """Return value and interval as text."""
        edges = "" if self.low is None or self.high is None else f" [{self.low:.2f}, {self.high:.2f}]"
        return f"{self.value:.2f}{edges}"


def groups_of(data: TrainingSet, positions: Sequence[int]) -> list[str]:
    """Return the patient of each case."""
    return [data.cases.entries[at].group for at in positions]


def class_probabilities(
    network: nn.Module, data: TrainingSet, positions: Sequence[int], device: torch.device
) -> Scores:
    """Return the probability of every class, (N, classes)."""
    network.to(device).eval()

    def logits(rows: torch.Tensor) -> torch.Tensor:
        images = torch.from_numpy(data.cases.inputs_of([int(row) for row in rows]))
        with torch.inference_mode():
            output = network(images.to(device))
        return (output[0] if isinstance(output, (list, tuple)) else output).float().cpu()

    image_bytes = data.cases.inputs[0].nbytes
    raw = run_batched(logits, torch.tensor(list(positions)), sample_bytes=image_bytes * ACTIVATIONS)
    return np.asarray(probabilities(raw, data.manifest).numpy(), dtype=np.float64)


def rights(network: nn.Module, data: TrainingSet, positions: Sequence[int], device: torch.device) -> Scores:
    """Return 1 for each case whose most probable class is the annotated one, else 0."""
    said = class_probabilities(network, data, positions, device).argmax(axis=1)
    return (said == [data.cases.entries[at].class_index for at in positions]).astype(np.float64)


def outlined(data: TrainingSet, positions: Sequence[int]) -> tuple[int, ...]:
    """Return the cases with a mask, at most ``MOST_MAPS`` drawn by their own digests."""
    masked = [at for at in positions if data.cases.entries[at].masked]
    return tuple(masked[row] for row in drawn([data.cases.entries[at].id for at in masked], MOST_MAPS, "maps"))


def class_maps(
    network: nn.Module,
    data: TrainingSet,
    positions: Sequence[int],
    method: str,
    layer: str | None,
    device: torch.device,
) -> Maps:
    """Return the maps of the annotated class, (N, *spatial)."""
    network.to(device).eval()
    parts = [np.zeros((0, *data.manifest.input.spatial_size), np.float32)]
    for start in range(0, len(positions), 8):
        batch = batch_of(data.cases, data.manifest, positions[start : start + 8])
        made = explain(network, batch.inputs.to(device), batch.labels.to(device), method, layer=layer, seed=SEED)
        parts.append(made.float().cpu().numpy())
    return np.concatenate(parts)


def marked(network: nn.Module, data: TrainingSet, positions: Sequence[int], device: torch.device) -> Maps:
    """Return a localiser's probability of a finding, (N, *spatial)."""
    network.to(device).eval()
    with torch.inference_mode():
        parts = [network(torch.from_numpy(data.cases.inputs_of([at])).to(device)).sigmoid()[:, 0] for at in positions]
    return torch.cat(parts).float().cpu().numpy()


def hits(maps: Maps, data: TrainingSet, positions: Sequence[int]) -> Scores:
    """Return 1 for each map whose peak lies in its case's mask, else 0."""
    masks = data.cases.masks_of(positions)
    return np.array([mask[peak_of(values)] for values, mask in zip(maps, masks, strict=True)], dtype=np.float64)


def average_mask(data: TrainingSet) -> Maps:
    """Return the mean of the masks learnt from, (*spatial): the map that knows nothing of the image."""
    masked = [at for at in data.division.learning if data.cases.entries[at].masked]
    total = np.zeros(data.manifest.input.spatial_size, np.float32)
    for at in masked:
        total += data.cases.masks_of([at])[0]
    return np.asarray(total / max(1, len(masked)), dtype=np.float32)


def dice(probability: Maps, data: TrainingSet, positions: Sequence[int]) -> Scores:
    """Return the Dice overlap of what is marked above 0.5 with each mask, 0 to 1."""
    masks = data.cases.masks_of(positions)
    above = probability > 0.5
    cells = tuple(range(1, masks.ndim))
    joint = (above & masks).sum(axis=cells)
    return np.asarray(2 * joint / np.maximum(above.sum(axis=cells) + masks.sum(axis=cells), 1), dtype=np.float64)


def figure(values: Scores, groups: Sequence[str]) -> MeanFigure | None:
    """Return a mean with its interval; None where no value is defined."""
    try:
        return MeanFigure.of(mean_by_group(values, groups, seed=SEED))
    except Refused:
        return None


def paired(values: Scores, control: Scores, groups: Sequence[str]) -> Difference:
    """Compare two networks on the same cases, by patients."""
    return paired_difference(values, control, groups, seed=SEED)
