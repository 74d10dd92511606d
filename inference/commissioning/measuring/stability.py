"""Raw figures of how maps follow the prediction: through small perturbations of the image, and covered boxes of it."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from inference.commissioning.measuring.bench import Bench
from inference.commissioning.measuring.explaining import Maps
from inference.commissioning.measuring.store import Raw
from inference.criteria.agreement import spearman, spearman_pairs
from inference.criteria.infidelity import infidelity, largest_sensitivity
from inference.criteria.prediction_saliency import correlation, keeping, log_odds, moving
from inference.saliency import explain
from inference.statistics.seeds import seed_of

BOXES = 24
"""Boxes covered for the infidelity of one map."""
KEPT_SHARE = 2
"""Moving perturbations for each keeping one."""


@dataclass(frozen=True, eq=False)
class Followed:
    """What small perturbations of one image did."""

    prediction: NDArray[np.float64]
    """(K,) change of the log-odds by each moving perturbation."""
    saliency: NDArray[np.float64]
    """(K,) change of the map, 1 - Spearman."""
    kept: Maps
    """(J, *spatial) maps of the images whose prediction was kept."""
    kept_within: float
    """Largest change of the log-odds among these."""


def prediction_saliency_figures(bench: Bench, method: str) -> Raw:
    """Both sides of the prediction-saliency correlation, and captum's largest sensitivity on the same images."""
    rows = bench.subset(bench.settings.prediction_saliency_cases, "prediction saliency")
    pairs, own = bench.pairs(rows, "prediction saliency"), bench.maps(method, rows)
    followed = [_followed(bench, row, values, method) for row, values in zip(rows, own, strict=True)]
    agreement = [spearman(values, case.kept) for values, case in zip(own, followed, strict=True)]
    matched = list(zip(pairs.first, pairs.second, strict=True))
    return {
        "rows": rows,
        "sensitivity": [correlation(case.prediction, case.saliency) for case in followed],
        "sensitivity_null": [correlation(followed[b].prediction, followed[a].saliency) for a, b in matched],
        "robustness": [float(scores.mean()) for scores in agreement],
        "robustness_worst": [float(scores.min()) for scores in agreement],
        "robustness_null": spearman_pairs(own[pairs.first], own[pairs.second]).tolist(),
        "largest": [largest_sensitivity(values, case.kept) for values, case in zip(own, followed, strict=True)],
        "largest_null": [largest_sensitivity(own[a], own[b][None]) for a, b in matched],
        "moved_by": [float(np.abs(case.prediction).max()) for case in followed],
        "kept_within": [case.kept_within for case in followed],
    }


def infidelity_figures(bench: Bench, method: str) -> Raw:
    """Share of the logit's falls under covered boxes that the map's sums leave unexplained; boxes are darkened."""
    rows = bench.subset(bench.settings.perturbation_cases, "removal")
    shares = []
    for row, image, values in zip(rows, bench.inputs(rows), bench.maps(method, rows), strict=True):
        target, cover = bench.explained[row].target, torch.full_like(image, float(image.min()))

        def logit(images: torch.Tensor, target: int = target) -> torch.Tensor:
            return bench.explainer.logits(bench.primary, images)[:, target]

        seed = seed_of("boxes", _case(bench, row))
        shares.append(infidelity(image, cover, values, logit, samples=BOXES, seed=seed))
    return {"rows": rows, "unexplained": shares}


def _followed(bench: Bench, row: int, values: Maps, method: str) -> Followed:
    image, case, target = bench.inputs([row])[0], _case(bench, row), bench.explained[row].target
    excluding, count = (
        bench.explainer.bundle.manifest.activation == "softmax",
        bench.settings.prediction_saliency_samples,
    )

    def predict(images: torch.Tensor) -> NDArray[np.float64]:
        return log_odds(bench.explainer.logits(bench.primary, images), target, excluding=excluding)

    here = image[None].to(bench.explainer.device)
    gradient = explain(bench.primary.module, here, target, "gradient", keep_channels=True)[0].cpu()
    moved = moving(image, gradient, count=count, seed=seed_of("moving", case))
    kept = keeping(image, predict, count=max(1, count // KEPT_SHARE), seed=seed_of("keeping", case))
    before = predict(image[None])
    return Followed(
        prediction=predict(moved) - before,
        saliency=1.0 - spearman(values, _maps(bench, row, moved, method)),
        kept=_maps(bench, row, kept, method),
        kept_within=float(np.abs(predict(kept) - before).max()),
    )


def _maps(bench: Bench, row: int, images: torch.Tensor, method: str) -> Maps:
    """Explain perturbed images of one case, each with the case's own draws."""
    position, target = bench.explained[row].position, bench.explained[row].target
    each = [bench.explainer.maps_of(bench.primary, image[None], position, target, [method]) for image in images]
    return np.stack([maps[method] for maps in each])


def _case(bench: Bench, row: int) -> str:
    return bench.cases.entries[bench.explained[row].position].id
