"""Raw figures of sensitivity to weight randomisation and to the class explained."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from inference.commissioning.measuring.bench import Bench
from inference.commissioning.measuring.explaining import Maps
from inference.commissioning.measuring.store import Raw
from inference.criteria.agreement import spearman_pairs
from inference.criteria.cascade import cascade
from inference.criteria.mprt import class_contrast, efficient_mprt, other_classes, smooth_mprt, smoothed
from inference.statistics.seeds import seed_of


def cascade_figures(bench: Bench, method: str) -> Raw:
    """Arun's cascade: SSIM at range 2 of each map with itself, as the stages are re-initialised from the head down."""
    rows = bench.subset(bench.settings.cascade_cases, "cascade")
    pairs = bench.pairs(rows, "cascade")

    def explain(module: nn.Module) -> Maps:
        return _explained(bench, rows, method, module)

    randomised = cascade(bench.primary.module, explain, pairs, seed=seed_of("cascade"))
    return {
        "rows": rows,
        "states": list(randomised.states),
        "final": randomised.ssim[-1].tolist(),
        "null": randomised.null_ssim.tolist(),
        "mean": randomised.ssim.mean(axis=1).tolist(),
        "spearman_final": randomised.spearman[-1].tolist(),
        "spearman_null": randomised.null_spearman.tolist(),
        "spearman_mean": randomised.spearman.mean(axis=1).tolist(),
    }


def smprt_figures(bench: Bench, method: str) -> Raw:
    """Smoothed maps, rank-correlated with themselves as the stages are re-initialised from the input up."""
    rows = bench.subset(bench.settings.smprt_cases, "smprt")
    pairs = bench.pairs(rows, "smprt")
    explain, inputs = _explainer_of(bench, rows, method), bench.inputs(rows)
    seed, samples = seed_of("smprt"), bench.settings.smprt_samples
    randomised = smooth_mprt(bench.primary.module, explain, inputs, seed=seed, samples=samples)
    own = np.abs(smoothed(explain, bench.primary.module, inputs, seed=seed, samples=samples))
    return {
        "rows": rows,
        "states": list(randomised.states),
        "final": randomised.last.tolist(),
        "average": randomised.average.tolist(),
        "mean": randomised.spearman.mean(axis=1).tolist(),
        "null": spearman_pairs(own[pairs.first], own[pairs.second]).tolist(),
    }


def emprt_figures(bench: Bench, method: str) -> Raw:
    """Rise of the map's entropy when every weight is re-initialised."""
    rows = bench.subset(bench.settings.emprt_cases, "emprt")
    explain = _explainer_of(bench, rows, method)
    rise = efficient_mprt(bench.primary.module, explain, bench.inputs(rows), seed=seed_of("emprt"))
    return {"rows": rows, "rise": rise.tolist()}


def contrast_figures(bench: Bench, method: str) -> Raw:
    """1 - similarity between the map of the class explained and that of another, drawn by seed."""
    rows = bench.subset(bench.settings.contrast_cases, "contrast")
    others = other_classes(bench.targets(rows), len(bench.explainer.bundle.manifest.classes), seed=seed_of("contrast"))
    maps = _explained(bench, rows, method, bench.primary.module, targets=[int(target) for target in others])
    own = bench.maps(method, rows)
    contrast = class_contrast(own, maps)
    constant = [len(np.unique(values)) < 2 for values in own]  # a map of nothing has no contrast, nor a lack of it
    contrast[constant] = np.nan
    return {"rows": rows, "contrast": contrast.tolist()}


def _explained(
    bench: Bench, rows: Sequence[int], method: str, module: nn.Module, *, targets: Sequence[int] | None = None
) -> Maps:
    classes = targets or [bench.explained[row].target for row in rows]
    return np.stack(
        [
            bench.explainer.maps(bench.primary, bench.explained[row].position, target, [method], module=module)[method]
            for row, target in zip(rows, classes, strict=True)
        ]
    )


def _explainer_of(bench: Bench, rows: Sequence[int], method: str) -> Callable[[nn.Module, torch.Tensor], Maps]:
    """Return what explains one input for each row, in their order, each with its own draws."""

    def explain(module: nn.Module, inputs: torch.Tensor) -> Maps:
        return np.stack(
            [
                bench.explainer.maps_of(
                    bench.primary,
                    inputs[at : at + 1],
                    bench.explained[row].position,
                    bench.explained[row].target,
                    [method],
                    module=module,
                )[method]
                for at, row in enumerate(rows)
            ]
        )

    return explain
