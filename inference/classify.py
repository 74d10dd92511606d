"""What the model says: probabilities of every plane, and the findings that deserve an explanation."""

from collections.abc import Sequence

import numpy as np
import torch

from inference.archive import Floats
from inference.bundle.bundle import Bundle
from inference.bundle.manifest import ClassEntry
from inference.devices import choose_device, run_batched
from inference.findings import Classification, Code, Finding, PlaneRange
from inference.options import AnalysisOptions
from inference.prepare import ModelInput


def classify(bundle: Bundle, model_input: ModelInput, *, options: AnalysisOptions) -> Classification:
    """Run the primary network on every plane, and choose the planes that deserve an explanation.

    Raises:
        DeviceExhausted: out of memory with a batch of one.
    """
    device = choose_device(options.device)
    network = bundle.primary(device).module

    def logits(batch: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return network(batch.to(device)).float().cpu()

    raw = run_batched(logits, model_input.tensor, budget_bytes=options.budget_mebibytes << 20)
    soft = bundle.manifest.activation == "softmax"
    probabilities = np.asarray((raw.softmax(dim=1) if soft else raw.sigmoid()).numpy(), dtype=np.float32)
    ranges: list[PlaneRange] = []
    findings: list[Finding] = []
    for index, entry in enumerate(bundle.manifest.classes):
        if entry.finding:
            class_ranges = _ranges(entry.name, probabilities[:, index], entry.threshold)
            whole = model_input.is_volume
            ranges += [_over_volume(run, model_input) for run in class_ranges] if whole else class_ranges
            findings += [
                _finding(entry, index, float(probabilities[position, index]), position)
                for position in choose_planes(probabilities[:, index], class_ranges, options.planes_explained)
            ]
    return Classification(
        labels=tuple(entry.name for entry in bundle.manifest.classes),
        probabilities=probabilities,
        ranges=tuple(ranges),
        findings=tuple(sorted(findings, key=lambda finding: -finding.probability)),
    )


def choose_planes(probabilities: Floats, ranges: Sequence[PlaneRange], count: int) -> tuple[int, ...]:
    """Choose the planes of one class that are explained: few, probable, and not side by side where others exist.

    First the peak of each range, the weightiest (sum of probabilities) first; then the most probable of the remaining
    planes that keep a distance from those chosen, a distance that shrinks until ``count`` planes are found.

    Args:
        probabilities: of the class, (planes,).
        ranges: the ranges of the class.
        count: at most this many planes.
    """
    weightiest = sorted(ranges, key=lambda run: -float(probabilities[run.first : run.last + 1].sum()))
    chosen = [run.peak for run in weightiest[:count]]
    positive = [plane for run in ranges for plane in range(run.first, run.last + 1)]
    distance = max(1, len(positive) // max(1, count))
    while len(chosen) < min(count, len(positive)):
        apart = [plane for plane in positive if all(abs(plane - other) >= distance for other in chosen)]
        if apart:
            chosen.append(max(apart, key=lambda plane: float(probabilities[plane])))
        else:
            distance -= 1
    return tuple(chosen)


def _ranges(label: str, probabilities: Floats, threshold: float) -> list[PlaneRange]:
    positive = np.concatenate([[False], probabilities >= threshold, [False]])
    edges = np.flatnonzero(positive[1:] != positive[:-1])
    ranges = []
    for first, end in zip(edges[::2], edges[1::2], strict=True):
        peak = int(first + np.argmax(probabilities[first:end]))
        ranges.append(PlaneRange(label, int(first), int(end) - 1, peak, float(probabilities[peak])))
    return ranges


def _over_volume(run: PlaneRange, model_input: ModelInput) -> PlaneRange:
    """A volume is called positive as a whole: all its planes, the middle one standing for its peak."""
    planes = model_input.source_shape[0]
    return PlaneRange(run.label, 0, planes - 1, planes // 2, run.peak_probability)


def _finding(entry: ClassEntry, index: int, probability: float, position: int) -> Finding:
    code = Code(entry.code.value, entry.code.scheme, entry.code.meaning) if entry.code else None
    return Finding(entry.name, index, code, probability, entry.threshold, position)
