"""Raw figures of repeatability and reproducibility: each map against other trainings, and its null distribution."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from inference.bundle.bundle import Network
from inference.commissioning.measuring.bench import ALTERNATE, REPLICATE, Bench
from inference.commissioning.measuring.explaining import Maps
from inference.commissioning.measuring.store import Raw
from inference.criteria.agreement import hottest_overlap_pairs, otsu_overlap_pairs, spearman_pairs
from inference.criteria.ssim import DATA_RANGE, LEGACY_DATA_RANGE, WINDOW, ssim
from inference.errors import Unsuitable
from inference.saliency.engine.profiles import legacy_normalised
from inference.statistics.seeds import seed_of

Pairs = Callable[[Maps, Maps], NDArray[np.float64]]


def repeatability_figures(bench: Bench, method: str) -> Raw:
    """Agreement with the replicates: the same architecture, other seeds."""
    return _agreement(bench, method, REPLICATE, bench.replicates, "replicates")


def reproducibility_figures(bench: Bench, method: str) -> Raw:
    """Agreement with the alternates: other architectures."""
    return _agreement(bench, method, ALTERNATE, bench.alternates, "alternates of another architecture")


def _agreement(bench: Bench, method: str, kind: str, networks: tuple[Network, ...], noun: str) -> Raw:
    """Mean over the networks of each figure, by case, and of the same figure for pairs of different patients."""
    if not networks:
        raise Unsuitable(f"The bundle has no {noun}.")
    rows = bench.subset(bench.settings.agreement_cases, "agreement")
    own = bench.maps(method, rows)
    others = [maps for at in range(len(networks)) if (maps := bench.store.maps(f"{kind}_{at}", method)) is not None]
    if not others:
        raise Unsuitable(f"The method does not fit the {noun} of this bundle.")
    pairs = bench.pairs(rows, "agreement")
    figures = _figures(own.shape[1:], seed_of("ties"))
    alike = {name: np.mean([figure(own, other) for other in others], axis=0) for name, figure in figures.items()}
    apart = {
        name: np.mean([figure(own[pairs.first], other[pairs.second]) for other in others], axis=0)
        for name, figure in figures.items()
    }
    return {
        "rows": rows,
        "networks": len(others),
        "values": {name: [float(value) for value in scores] for name, scores in alike.items()},
        "nulls": {name: [float(value) for value in scores] for name, scores in apart.items()},
    }


def _figures(spatial: tuple[int, ...], seed: int) -> dict[str, Pairs]:
    measures: dict[str, Pairs] = {
        "spearman": spearman_pairs,
        "top10_iou": lambda first, second: hottest_overlap_pairs(first, second, seed=seed),
        "iou_otsu": otsu_overlap_pairs,
    }
    if min(spatial) >= WINDOW:
        measures["ssim_range_1"] = _ssim(DATA_RANGE)
        measures["ssim_range_2_legacy"] = _ssim(LEGACY_DATA_RANGE)
    return measures


def _ssim(data_range: float) -> Pairs:
    def figure(first: Maps, second: Maps) -> NDArray[np.float64]:
        return ssim(legacy_normalised(first), legacy_normalised(second), data_range=data_range)

    return figure
