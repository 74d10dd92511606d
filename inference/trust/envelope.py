"""The envelope: whether a case is of the kind the bundle was commissioned on, or OUT OF ENVELOPE.

Each view of a case (penultimate features; statistics of the image) is held against commissioning by Mahalanobis
distance (Lee et al. 2018). Few numbers, none of them a patient's, go into the passport, and directions in which
commissioning hardly varied count most, which is where images of another kind lie; nearest neighbours would have to
carry every patient's features along. A case is out if it is out in any view. ``fit_envelope.py`` fits it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inference.errors import PassportRefused, Refused
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

    def distance(self, values: Numbers) -> Numbers:
        """Give the distance of each case per root of the number of features, about 1 within, (N, F) -> (N,).

        A case with a value that is not finite is infinitely far.
        """
        finite = np.asarray(np.isfinite(values).all(axis=1))
        standard = (np.where(finite[:, None], values, 0.0) - self.mean) / np.asarray(self.sd)
        along = standard @ np.asarray(self.directions).T
        beyond = np.clip((standard**2).sum(axis=1) - (along**2).sum(axis=1), 0.0, None)
        squared = (along**2 / np.asarray(self.variances)).sum(axis=1) + beyond / self.rest
        return np.where(finite, np.sqrt(squared / values.shape[1]), np.inf)


@dataclass(frozen=True, slots=True)
class View:
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

    views: tuple[View, ...]
    epsilon: float
    """Share of cases like these that may be out in any view."""
    out: Interval
    """Share of commissioning's cases out in any view when their patient was left out of the fit."""
    groups: int

    def ratios(self, values: Mapping[str, ArrayLike]) -> Mapping[str, Numbers]:
        """Give each case's distance in each view over what is allowed, name -> (N,); out above 1.

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

    def to_plain(self) -> dict[str, Any]:
        """Give the envelope as JSON's own types."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Make the envelope of what ``to_plain`` gave, also by way of JSON: the same distances to the bit.

        Raises:
            PassportRefused: something is missing or of another kind.
        """
        try:
            views = tuple(_view_from(view) for view in plain["views"])
            return cls(views, float(plain["epsilon"]), Interval(**plain["out"]), int(plain["groups"]))
        except (KeyError, TypeError, ValueError) as wrong:
            raise PassportRefused(
                f"The passport's envelope cannot be read: {wrong}.", cure="Commission again."
            ) from wrong


def _of_view(values: Mapping[str, ArrayLike], view: View) -> Numbers:
    if view.name not in values:
        raise Refused(f"The envelope needs the view {view.name!r}.")
    table = np.asarray(values[view.name], np.float64)
    if table.ndim != 2 or table.shape[1] != len(view.ellipsoid.mean):
        raise Refused(f"The view {view.name!r} has {len(view.ellipsoid.mean)} features, not those given.")
    return table


def _view_from(plain: Mapping[str, Any]) -> View:
    shape = plain["ellipsoid"]
    ellipsoid = Ellipsoid(
        tuple(shape["mean"]),
        tuple(shape["sd"]),
        tuple(tuple(row) for row in shape["directions"]),
        tuple(shape["variances"]),
        float(shape["rest"]),
    )
    return View(
        str(plain["name"]),
        tuple(plain["columns"]),
        ellipsoid,
        float(plain["threshold"]),
        float(plain["epsilon"]),
        Interval(**plain["out"]),
    )
