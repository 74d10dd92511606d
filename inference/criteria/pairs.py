"""Pairs of maps for the null distribution of an agreement: different patients, the same class where possible.

Arun et al. 2021 compared fifty random pairs of different images; here no pair is of one patient, and both maps of a
pair explain the same class: what maps of a class share merely by being of that class is in the null.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inference.errors import Refused

PAIRS = 50
"""As many as Arun et al. 2021 drew."""
ENUMERATED = 2000
"""Up to so many rows of a class every pair is listed before drawing; above, pairs are drawn and bad ones rejected."""


@dataclass(frozen=True, slots=True)
class NullPairs:
    """Rows of the maps to compare: ``first[k]`` with ``second[k]``, and the patient whose map comes first."""

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    seed: int

    def __len__(self) -> int:
        """Count the pairs."""
        return len(self.first)


def null_pairs(patients: ArrayLike, classes: ArrayLike | None = None, *, seed: int, count: int = PAIRS) -> NullPairs:
    """Draw distinct pairs of rows of different patients and the same class, at random among all there are.

    Args:
        patients: (N,), any labels.
        classes: (N,) class explained by each map; None: any two patients make a pair.
        seed: of the draw.
        count: pairs wanted; all there are, where there are fewer.

    Raises:
        Refused: no two patients share a class.
    """
    people = np.unique(np.asarray(patients), return_inverse=True)[1].ravel()
    kinds = (
        np.zeros(len(people), dtype=np.intp) if classes is None else np.unique(classes, return_inverse=True)[1].ravel()
    )
    draw = np.random.default_rng(seed)
    candidates = np.concatenate([_pairs_of(np.flatnonzero(kinds == kind), draw, count) for kind in np.unique(kinds)])
    candidates = candidates[people[candidates[:, 0]] != people[candidates[:, 1]]]
    if not len(candidates):
        raise Refused("No two patients share a class: there is no null to compare with.")
    chosen = draw.permutation(len(candidates))[:count]
    first, second = candidates[chosen].T
    swap = draw.random(len(first)) < 0.5
    return NullPairs(np.where(swap, second, first), np.where(swap, first, second), seed)


def _pairs_of(rows: NDArray[np.intp], draw: np.random.Generator, count: int) -> NDArray[np.intp]:
    """List the pairs of one class, or a large random part of them where there are millions."""
    if len(rows) <= ENUMERATED:
        return rows[np.column_stack(np.triu_indices(len(rows), k=1))]
    drawn = np.sort(draw.integers(0, len(rows), size=(200 * count, 2)), axis=1)
    return rows[np.unique(drawn[drawn[:, 0] != drawn[:, 1]], axis=0)]
