"""Raw figures of localisation and of agreement with the expert's outline, case by case."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.commissioning.measuring.bench import Bench
from inference.commissioning.measuring.explaining import Maps
from inference.commissioning.measuring.store import Raw
from inference.criteria import expert, localisation
from inference.errors import Unsuitable
from inference.reading.outlines import Mask
from inference.saliency.engine.profiles import legacy_normalised
from inference.saliency.gradient.xrai import ranked
from inference.statistics.seeds import seed_of

CHUNK = 64
"""Maps ranked at a time."""


def localisation_figures(bench: Bench, method: str) -> Raw:
    """Hit rate over everything explained; the other figures over true positives with an outline.

    An explained false positive has no finding: its peak misses. A true positive without an outline is not judged.
    """
    if not bench.outlined:
        raise Unsuitable("No case of this split is outlined.")
    rows = list(range(len(bench.explained)))
    maps, masks = bench.maps(method), bench.masks(rows)
    hits = _chunked(localisation.hit, maps, masks)
    hits[[not explained.right for explained in bench.explained]] = 0.0
    outlined = [row for row in rows if bench.explained[row].masked]
    values = {"hit": _list(hits)}
    if outlined:
        maps, masks = maps[outlined], masks[outlined]
        values |= {
            "average_precision": _list(_chunked(localisation.average_precision, maps, masks)),
            "average_precision_absolute": _list(_chunked(localisation.average_precision, np.abs(maps), masks)),
            "trapezoid_legacy": _list(_chunked(localisation.trapezoid_auprc, legacy_normalised(maps), masks)),
            "iou_otsu": _list(localisation.iou_at_otsu(maps, masks)),
            "energy": _list(localisation.energy_in_mask(maps, masks)),
            "roc": _list(_chunked(expert.pixel_roc_auc, maps, masks)),
        }
        share = masks.reshape(len(masks), -1).mean(axis=1)
        precision = np.asarray(values["average_precision"])
        values["average_precision_normalised"] = _list((precision - share) / (1.0 - share))
        tuned, thresholds = _iou_tuned(bench, method, outlined, maps, masks)
        curve = expert.curve_of_means(maps, masks)
        values["iou_tuned"] = _list(tuned)
        return {"rows": rows, "outlined": outlined, **values, "thresholds": thresholds, "roc_of_means": curve.auc}
    return {"rows": rows, "outlined": outlined, **values}


def region_figures(bench: Bench, method: str) -> Raw:
    """Dice of the hottest regions, with the share of regions fixed on other patients."""
    rows = [row for row in bench.subset(None, "regions") if bench.explained[row].masked]
    chosen = set(bench.subset(bench.settings.region_cases, "regions"))
    rows = [row for row in rows if row in chosen]
    if not rows:
        raise Unsuitable("No explained case drawn has an outlined finding.")
    positions = [bench.explained[row].position for row in rows]
    dice = expert.region_dice(_regions(bench, bench.maps(method, rows), positions), bench.masks(rows))
    tuning = bench.tuning_maps(method)
    if tuning is None:
        halves = _halves(bench, rows)
        fixed = np.empty(len(rows))
        percents = []
        for half in (halves, ~halves):
            if half.all() or not half.any():
                raise Unsuitable("A share of regions cannot be fixed on other patients: there is one patient only.")
            percents.append(expert.tuned_percent(dice[~half]))
            fixed[half] = expert.dice_at(dice[half], percents[-1])
    else:
        count = bench.settings.region_cases
        fit = [explained.position for explained in bench.tuning[:count]]
        regions = _regions(bench, tuning[0][:count], fit)
        percents = [expert.tuned_percent(expert.region_dice(regions, tuning[1][:count]))]
        fixed = expert.dice_at(dice, percents[0])
    return {
        "rows": rows,
        "dice": _list(fixed),
        "percents": [int(percent) for percent in percents],
        "best_dice": expert.best_dice(dice),
    }


def _iou_tuned(
    bench: Bench, method: str, rows: list[int], maps: Maps, masks: Mask
) -> tuple[NDArray[np.float64], list[float]]:
    """Threshold of the split fitted on; without one, each half of the patients by the threshold of the other."""
    tuning = bench.tuning_maps(method)
    if tuning is not None:
        threshold = localisation.tuned_threshold(*tuning)
        return localisation.iou_at(maps, masks, threshold), [threshold]
    halves = _halves(bench, rows)
    overlaps, thresholds = np.full(len(rows), np.nan), []
    for half in (halves, ~halves):
        if half.any() and not half.all():
            thresholds.append(localisation.tuned_threshold(maps[~half], masks[~half]))
            overlaps[half] = localisation.iou_at(maps[half], masks[half], thresholds[-1])
    return overlaps, thresholds


def _halves(bench: Bench, rows: list[int]) -> NDArray[np.bool_]:
    """Mark the rows of one half of the patients, drawn by seed."""
    names = sorted({bench.group(row) for row in rows}, key=lambda name: seed_of("halves", name))
    first = set(names[: len(names) // 2])
    return np.array([bench.group(row) in first for row in rows], dtype=np.bool_)


def _regions(bench: Bench, maps: Maps, positions: Sequence[int]) -> NDArray[np.float64]:
    """Regions of the images, ranked by the maps as XRAI ranks them."""
    pairs = zip(maps, positions, strict=True)
    return np.stack([ranked(values.astype(np.float64), bench.segments(position)) for values, position in pairs])


def _chunked(figure: Any, maps: Maps, masks: Mask) -> NDArray[np.float64]:
    parts = [figure(maps[at : at + CHUNK], masks[at : at + CHUNK]) for at in range(0, len(maps), CHUNK)]
    return np.concatenate(parts)


def _list(values: NDArray[np.float64]) -> list[float]:
    return [float(value) for value in values]
