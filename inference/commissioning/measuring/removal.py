"""Raw figures of fidelity: the prediction as pixels are removed or inserted in the order of the map."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from inference.commissioning.measuring.bench import Bench
from inference.commissioning.measuring.explaining import Maps
from inference.commissioning.measuring.store import Raw
from inference.criteria.fidelity import Removal, mean_fill, removal, undecided_blur
from inference.criteria.information import Curve, Rejected, aggregate, information_curves, random_map, seed_mask
from inference.criteria.road import SHARES, road
from inference.errors import Unsuitable
from inference.passport.rules import BLURRED
from inference.statistics.seeds import seed_of

BLUR_SHARE = 1 / 16
"""Width of the blurred random map's blur, as a share of the image's shorter side."""
DRAWN_POINTS = 51
"""Points of an information curve that the report draws."""


def fidelity_figures(bench: Bench, method: str) -> Raw:
    """Brocki's F in its probability form by three fills, of the signed and of the absolute map, insertion, deletion."""
    rows = bench.subset(bench.settings.perturbation_cases, "removal")
    maps, inputs, targets = bench.maps(method, rows), bench.inputs(rows), bench.targets(rows).tolist()
    seed = seed_of("removal")

    def removed(values: Maps, fills: torch.Tensor) -> Removal:
        return removal(inputs, values, bench.predict, targets, fills, seed=seed)

    darkest = inputs.flatten(1).amin(dim=1).reshape(-1, *[1] * (inputs.ndim - 1)).expand_as(inputs)
    by_mean, by_blur = removed(maps, mean_fill(inputs)), removed(maps, undecided_blur(inputs, bench.predict, targets))
    absolute = removed(np.abs(maps), mean_fill(inputs)) if (maps < 0).any() else by_mean
    return {
        "rows": rows,
        "mean_fill": by_mean.probability_fidelity.tolist(),
        "mean_fill_absolute": absolute.probability_fidelity.tolist(),
        "black_fill": removed(maps, darkest).probability_fidelity.tolist(),
        "accuracy_form": by_mean.fidelity(targets),
        "case_form_blur": by_blur.case_fidelity.tolist(),
        "insertion": by_blur.insertion.tolist(),
        "deletion": by_blur.deletion.tolist(),
        "shares": by_mean.shares.tolist(),
        "mean_most_first": by_mean.most_first.mean(axis=0).tolist(),
        "mean_least_first": by_mean.least_first.mean(axis=0).tolist(),
        "blur_most_first": by_blur.most_first.mean(axis=0).tolist(),
        "blur_least_first": by_blur.least_first.mean(axis=0).tolist(),
    }


def road_figures(bench: Bench, method: str) -> Raw:
    """ROAD, (least - most relevant first) / 2 over nine shares; ``random_blurred`` is a method here."""
    rows = bench.subset(bench.settings.perturbation_cases, "removal")
    inputs = bench.inputs(rows)
    maps = _blurred(bench, rows, inputs.shape[2:]) if method == BLURRED else bench.maps(method, rows)
    scores = road(inputs, maps, bench.predict, bench.targets(rows).tolist(), seed=seed_of("road"))
    return {
        "rows": rows,
        "combined": scores.combined.tolist(),
        "shares": list(SHARES),
        "most_first": scores.most_first.mean(axis=0).tolist(),
        "least_first": scores.least_first.mean(axis=0).tolist(),
    }


def information_figures(bench: Bench, method: str) -> Raw:
    """SIC and AIC of each case; those the paper's rules reject have no figure, and are counted."""
    rows = bench.subset(bench.settings.information_cases, "information")
    inputs, targets = bench.inputs(rows), bench.targets(rows).tolist()
    if inputs.ndim != 4:
        raise Unsuitable("Information curves are made of planes; this bundle takes volumes.")
    curve_pairs = [
        _information(bench, row, image, values, target)
        for row, image, values, target in zip(rows, inputs, bench.maps(method, rows), targets, strict=True)
    ]
    raw: Raw = {"rows": rows}
    for at, name in enumerate(("sic", "aic")):
        curves = [pair[at] for pair in curve_pairs]
        kept = [curve for curve in curves if isinstance(curve, Curve)]
        raw[name] = [curve.auc if isinstance(curve, Curve) else float("nan") for curve in curves]
        reasons = [curve.reason for curve in curves if isinstance(curve, Rejected)]
        raw[f"{name}_rejected"] = {reason: reasons.count(reason) for reason in sorted(set(reasons))}
        if kept:
            mean = aggregate(curves, method="mean").curve
            places = np.linspace(0, len(mean.x) - 1, DRAWN_POINTS).round().astype(int)
            raw[f"{name}_median_legacy"] = aggregate(curves, method="median").curve.auc
            raw[f"{name}_x"], raw[f"{name}_y"] = mean.x[places].tolist(), mean.y[places].tolist()
    return raw


def _information(
    bench: Bench, row: int, image: torch.Tensor, values: Maps, target: int
) -> tuple[Curve | Rejected, Curve | Rejected]:
    """Show the network's input as 256 grey levels from its darkest to its brightest value, and back."""
    low, high = float(image.min()), float(image.max())
    span = max(high - low, 1e-6)
    grey = ((image[0].numpy() - low) / span * 255).round().astype(np.uint8)

    def predict(images: NDArray[np.uint8]) -> NDArray[np.floating]:
        inputs = torch.from_numpy(images.astype(np.float32) / 255 * span + low)[:, None]
        return bench.predict(inputs.expand(-1, image.shape[0], -1, -1).contiguous()).numpy()

    case = bench.cases.entries[bench.explained[row].position].id
    known = seed_mask(*grey.shape, seed=seed_of("seed mask", case))
    curves = information_curves(grey, values, known, predict, target=target)
    return curves.sic, curves.aic


def _blurred(bench: Bench, rows: Sequence[int], spatial: Sequence[int]) -> Maps:
    if len(spatial) != 2:
        raise Unsuitable("ROAD is made of planes; this bundle takes volumes.")
    sigma = BLUR_SHARE * min(spatial)
    ids = [bench.cases.entries[bench.explained[row].position].id for row in rows]
    maps = [gaussian_filter(random_map(*spatial, seed=seed_of(BLURRED, case)), sigma) for case in ids]
    return np.stack(maps).astype(np.float32)
