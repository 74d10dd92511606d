"""The score below which a map is WITHHELD: it is more likely wrong than right, and how sure that is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from inference.statistics.bounds import upper_bound
from inference.statistics.risk_control import present, see_site

MORE_LIKELY_WRONG = 0.5


@dataclass(frozen=True, slots=True)
class Withholding:
    """The score below which a map is not shown, and what is known of the maps below."""

    threshold: float
    delta: float
    groups: int
    """Patients with a map below."""
    withheld: int
    misses: int
    risk: float | None
    """Mean over those patients of the share of their maps below that miss."""
    lower: float | None
    """At confidence 1 - delta at least this share misses."""

    @property
    def shown_wrong(self) -> bool:
        """Whether, at confidence 1 - delta, more than half of the maps below miss."""
        return self.lower is not None and self.lower > MORE_LIKELY_WRONG


def withhold(
    score: ArrayLike,
    miss: ArrayLike,
    groups: ArrayLike,
    *,
    delta: float,
    seed: int,
    threshold: float = MORE_LIKELY_WRONG,
) -> Withholding:
    """Say what is known of maps below the lower threshold: where a map is more likely wrong than right, it is withheld.

    The threshold is fixed beforehand, 0.5 on a calibrated probability, so that nothing is searched and one test says
    whether more than half of what lies below does miss. It holds whatever that test says: to withhold is the safe side.

    Args:
        score: (N,) calibrated P(peak in a true finding); NaN counts as below.
        miss: (N,) bool.
        groups: (N,).
        delta: 1 - confidence of the bound.
        seed: of the order of patients.
        threshold: withheld are scores below.

    Raises:
        Refused: arrays of different lengths.
    """
    values, hit = np.asarray(score, np.float64), ~np.asarray(miss, np.bool_)
    below = (~(values >= threshold)).astype(np.float64)
    site = see_site(below, hit, groups, seed=seed, grid=(MORE_LIKELY_WRONG,))
    hits, count = present(site.losses[0]), int(site.trusted[0])
    risk, lower = (1 - float(hits.mean()), 1 - upper_bound(hits, delta)) if count else (None, None)
    return Withholding(threshold, delta, len(hits), count, count - int(site.misses[0]), risk, lower)
