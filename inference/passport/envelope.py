"""The envelope: whether a case is of the kind the bundle was commissioned on, or OUT OF ENVELOPE.

Each view of a case (penultimate features; statistics of the image) is held against commissioning by Mahalanobis
distance (Lee et al. 2018). Few numbers, none of them a patient's, go into the passport, and directions in which
commissioning hardly varied count most, which is where images of another kind lie; nearest neighbours would have to
carry every patient's features along. A case is out if it is out in any view. ``fit_envelope.py`` fits it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inference.errors import Refused
from inference.statistics.bootstrap import Interval

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """Where the cases of one view lie."""

    mean: tuple[float, ...]
    """(F,)"""
    sd: tuple[float, ...]
    """(F,)"""
    directions: tuple[tuple[float, ...], ...]
    """(K, F), of standardised features."""
    variances: tuple[float, ...]
    """(K,), along each direction."""
    rest: float
    """Variance along every other direction."""

    def __post_init__(self) -> None:
        count = len(self.mean)
        rows = {len(row) for row in self.directions}
        if len(self.sd) != count or len(self.directions) != len(self.variances) or rows - {count}:
            raise ValueError(
                "an ellipsoid has one mean, SD and column for each feature, one variance for each direction"
            )

    def distance(self, values: Numbers) -> Numbers:
        """Return the distance of each case per root of the number of features, about 1 within, (N, F) -> (N,).

        A case with a value that is not finite is infinitely far.
        """
        finite = np.asarray(np.isfinite(values).all(axis=1))
        standard = (np.where(finite[:, None], values, 0.0) - self.mean) / np.asarray(self.sd)
        along = standard @ np.asarray(self.directions).T
        beyond = np.clip((standard**2).sum(axis=1) - (along**2).sum(axis=1), 0.0, None)
        squared = (along**2 / np.asarray(self.variances)).sum(axis=1) + beyond / self.rest
        return np.where(finite, np.sqrt(squared / values.shape[1]), np.inf)


@dataclass(frozen=True, slots=True)
class EnvelopeView:
    """One view of a case and how far from commissioning it may lie."""

    name: str
    columns: tuple[str, ...]
    """Names of the F features; empty: they have none."""
    ellipsoid: Ellipsoid
    threshold: float
    """Out beyond this distance."""
    epsilon: float
    """Share of cases like these that is to be out by this view."""
    out: Interval
    """Share of commissioning's cases out when their patient was left out of the fit."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Every view; a case is out if it is out in any."""

    views: tuple[EnvelopeView, ...]
    epsilon: float
    """Share of cases like these that may be out in any view."""
    out: Interval
    """Share of commissioning's cases out in any view when their patient was left out of the fit."""
    groups: int

    def ratios(self, values: Mapping[str, ArrayLike]) -> Mapping[str, Numbers]:
        """Return each case's distance in each view over what is allowed, name -> (N,); out above 1.

        Args:
            values: name of the view to (N, F).

        Raises:
            Refused: a view is missing or has another number of features.
        """
        return {view.name: view.ellipsoid.distance(_of_view(values, view)) / view.threshold for view in self.views}

    def is_out(self, values: Mapping[str, ArrayLike]) -> NDArray[np.bool_]:
        """Tell which cases are out of the envelope, (N,).

        Raises:
            Refused: as ``ratios``.
        """
        return np.any([ratio > 1 for ratio in self.ratios(values).values()], axis=0)

    def strangest(self, values: Mapping[str, ArrayLike], name: str) -> tuple[tuple[str, float], ...]:
        """Name for each case the feature of one view farthest from commissioning, and by how many SD.

        Raises:
            Refused: the view is missing, has other features, or its features have no names.
        """
        view = next((view for view in self.views if view.name == name), None)
        if view is None or not view.columns:
            raise Refused(f"The envelope has no named features of a view {name!r}.")
        away = (_of_view(values, view) - view.ellipsoid.mean) / np.asarray(view.ellipsoid.sd)
        far = np.abs(np.nan_to_num(away, nan=np.inf)).argmax(axis=1)
        return tuple((view.columns[column], float(away[row, column])) for row, column in enumerate(far))


def _of_view(values: Mapping[str, ArrayLike], view: EnvelopeView) -> Numbers:
    if view.name not in values:
        raise Refused(f"The envelope needs the view {view.name!r}.")
    table = np.asarray(values[view.name], np.float64)
    if table.ndim != 2 or table.shape[1] != len(view.ellipsoid.mean):
        raise Refused(f"The view {view.name!r} has {len(view.ellipsoid.mean)} features, not those given.")
    return table
