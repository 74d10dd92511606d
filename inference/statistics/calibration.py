"""Whether probabilities are right: the share of hits among maps of about the same probability (ECE, reliability)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.errors import Refused
from inference.statistics.bootstrap import Interval, interval_of

Numbers = NDArray[np.float64]
BINS = 10
PERFECT_DRAWS = 500


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far a probability is from the share of hits."""

    ece: Interval
    """Mean |probability - share of hits| over bins of equal mass; plain, so biased upwards, its interval too."""
    ece_if_perfect: float
    """The mean ECE if every probability were right and maps independent: what of ``ece`` is mere chance."""
    bins: tuple[tuple[float, float, int], ...]
    """(mean probability, share of hits, maps) of each bin, lowest first."""


def judge_calibration(values: Numbers, wrong: Numbers, rows: Numbers, count: int, seed: int) -> Calibration:
    """Hold probabilities of a hit against what hit, in ten bins of equal mass.

    Args:
        values: (N,), probabilities.
        wrong: (N,), 1 where the map misses.
        rows: (B, N), how often each map is in each bootstrap sample.
        count: groups resampled.
        seed: of the draws that show what chance alone does.

    Raises:
        Refused: a value is not a probability.
    """
    if values.min() < 0 or values.max() > 1:
        raise Refused("A probability lies between 0 and 1.")
    order = np.argsort(values, kind="stable")
    member = np.zeros((len(values), min(BINS, len(values))))
    for number, rows_of_bin in enumerate(np.array_split(order, member.shape[1])):
        member[rows_of_bin, number] = 1.0
    hits = 1 - wrong
    drawn = (np.random.default_rng(seed).random((PERFECT_DRAWS, len(values))) < values).astype(np.float64)
    sizes = member.sum(axis=0)
    perfect = np.abs((values - drawn) @ member).sum(axis=1) / len(values)
    resampled = np.abs((rows * (values - hits)) @ member).sum(axis=1) / rows.sum(axis=1)
    value = float(np.abs((values - hits) @ member).sum() / len(values))
    bins = zip((values @ member) / sizes, (hits @ member) / sizes, sizes, strict=True)
    return Calibration(
        interval_of(value, resampled, len(values), count),
        float(perfect.mean()),
        tuple((float(p), float(h), int(n)) for p, h, n in bins),
    )
