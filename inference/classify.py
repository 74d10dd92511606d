"""What the model says: probabilities of every plane, and the findings whose maps are assessed."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from inference.archive import Floats
from inference.batches import budget_bytes_of, run_batched
from inference.bundle.bundle import Bundle
from inference.bundle.manifest import ClassEntry
from inference.devices import choose_device
from inference.findings import Classification, Code, Finding, PlaneRange
from inference.options import AnalysisOptions
from inference.prepare import ModelInput
from inference.trust.choice import first_pass, seen_by_localiser


def classify(bundle: Bundle, model_input: ModelInput, *, options: AnalysisOptions) -> Classification:
    """Run the primary network on every plane, and choose the planes whose maps are assessed.

    By a passport those are the most promising of all that are called (``trust/choice.py``), of which those of the
    highest score are shown. Without one there is no score to choose by: they are few and probable.

    Raises:
        DeviceExhausted: out of memory with a batch of one.
    """
    device = choose_device(options.device)
    network = bundle.primary(device).module

    def logits(batch: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return network(batch.to(device)).float().cpu()

    raw = run_batched(
        logits, model_input.tensor, budget_bytes=budget_bytes_of(device, options.budget_mebibytes), device=device
    )
    soft = bundle.manifest.activation == "softmax"
    probabilities = np.asarray((raw.softmax(dim=1) if soft else raw.sigmoid()).numpy(), dtype=np.float32)
    choose = _promising(bundle, model_input, options) if options.warrant else _probable(options)
    ranges: list[PlaneRange] = []
    findings: list[Finding] = []
    for index, entry in enumerate(bundle.manifest.classes):
        if entry.finding:
            class_ranges = _ranges(entry.name, probabilities[:, index], entry.threshold)
            whole = model_input.is_volume
            ranges += [_over_volume(run, model_input) for run in class_ranges] if whole else class_ranges
            findings += [
                _finding(entry, index, float(probabilities[position, index]), position)
                for position in choose(probabilities[:, index], class_ranges)
            ]
    return Classification(
        labels=tuple(entry.name for entry in bundle.manifest.classes),
        probabilities=probabilities,
        ranges=tuple(ranges),
        findings=tuple(sorted(findings, key=lambda finding: -finding.probability)),
    )


Choose = Callable[[Floats, Sequence[PlaneRange]], tuple[int, ...]]
"""Of the probabilities of one class, (planes,), and its ranges: the planes whose maps are assessed."""


def _promising(bundle: Bundle, model_input: ModelInput, options: AnalysisOptions) -> Choose:
    device = choose_device(options.device)
    budget_bytes = budget_bytes_of(device, options.budget_mebibytes)

    def choose(probabilities: Floats, ranges: Sequence[PlaneRange]) -> tuple[int, ...]:
        planes = [plane for run in ranges for plane in range(run.first, run.last + 1)]
        seen = seen_by_localiser(bundle, model_input.tensor[planes], device, budget_bytes=budget_bytes)
        return tuple(planes[place] for place in first_pass(probabilities[planes], seen))

    return choose


def _probable(options: AnalysisOptions) -> Choose:
    return lambda probabilities, ranges: choose_planes(probabilities, ranges, options.planes_explained)


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
