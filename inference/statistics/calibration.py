"""Whether probabilities are right (ECE, reliability by bins), and the line that sets them right (Platt).

The expected calibration error is that of Naeini et al. 2015, with bins of equal mass; Guo et al. 2017 for networks.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from inference.errors import Refused
from inference.statistics.bootstrap import Interval, interval_of, share_by_group

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]
Index = NDArray[np.intp]
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


def judge_calibration(values: Numbers, wrong: Numbers, index: Index, draws: Numbers, seed: int) -> Calibration:
    """Hold probabilities of a hit against what hit, in ten bins of equal mass.

    Args:
        values: (N,), probabilities.
        wrong: (N,), 1 where the map misses.
        index: (N,), number of each map's group, 0 to G - 1.
        draws: (B, G), how often each group is in each bootstrap sample.
        seed: of the draws that show what chance alone does.

    Raises:
        Refused: a value is not a probability.
    """
    if values.min() < 0 or values.max() > 1:
        raise Refused("A probability lies between 0 and 1.")
    count, hits = draws.shape[1], 1 - wrong
    member = np.zeros((len(values), min(BINS, len(values))))
    for number, rows in enumerate(bins_of(values)):
        member[rows, number] = 1.0
    drawn = (np.random.default_rng(seed).random((PERFECT_DRAWS, len(values))) < values).astype(np.float64)
    sizes = member.sum(axis=0)
    perfect = np.abs((values - drawn) @ member).sum(axis=1) / len(values)
    errors = np.stack([np.bincount(index, (values - hits) * column, count) for column in member.T], axis=1)
    resampled = np.abs(draws @ errors).sum(axis=1) / (draws @ np.bincount(index, minlength=count))
    value = float(np.abs((values - hits) @ member).sum() / len(values))
    bins = zip((values @ member) / sizes, (hits @ member) / sizes, sizes, strict=True)
    return Calibration(
        interval_of(value, resampled, len(values), count),
        float(perfect.mean()),
        tuple((float(p), float(h), int(n)) for p, h, n in bins),
    )


def bins_of(values: Numbers) -> list[Index]:
    """Return the rows of at most ten bins of equal mass, the lowest values first."""
    return np.array_split(np.argsort(values, kind="stable"), min(BINS, len(values)))


def bin_intervals(values: Numbers, hits: Flags, groups: NDArray[np.str_], *, seed: int) -> tuple[Interval, ...]:
    """Return the share of hits in each bin with its interval over groups, exact binomial where all are alike.

    Args:
        values: (N,), probabilities.
        hits: (N,).
        groups: (N,), any labels.
        seed: of the resampling.
    """
    return tuple(share_by_group(hits[rows], groups[rows], seed=seed) for rows in bins_of(values))


def platt(log_odds: Numbers, events: Flags) -> tuple[float, float]:
    """Fit slope and intercept of a line on the log-odds, so that its probabilities are right (Platt 1999).

    Targets are Platt's, (n + 1) / (n + 2) for n events and 1 / (m + 2) for m others, so that the line is finite even
    where a threshold tells both apart. A line that falls, which says the opposite of what it was given, becomes level.

    Args:
        log_odds: (N,), finite.
        events: (N,), both kinds among them.
    """
    with_event = int(events.sum())
    targets = np.where(events, (with_event + 1) / (with_event + 2), 1 / (len(events) - with_event + 2))
    centre = float(log_odds.mean())
    design = np.stack([log_odds - centre, np.ones(len(log_odds))], axis=1)

    def loss(line: Numbers) -> tuple[float, Numbers]:
        lifted = design @ line
        probability = np.exp(-np.logaddexp(0.0, -lifted))
        return float((np.logaddexp(0.0, lifted) - targets * lifted).mean()), design.T @ (probability - targets) / len(
            targets
        )

    slope, height = minimize(loss, np.array([0.0, 0.0]), jac=True, method="BFGS").x
    if slope <= 0:
        slope, height = 0.0, float(np.log(targets.mean() / (1 - targets.mean())))
    return float(slope), float(height - slope * centre)
