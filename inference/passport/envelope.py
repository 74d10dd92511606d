"""The envelope: whether a stack is of the kind the bundle was commissioned on.

Each plane of a stack is looked at in several views (penultimate features; statistics of the anatomy), and each view is
held against commissioning by Mahalanobis distance (Lee et al. 2018). Few numbers, none of them a patient's, go into the
passport, and directions in which commissioning hardly varied count most, which is where images of another kind lie;
nearest neighbours would have to carry every patient's features along.

Planes become one answer here, for commissioning, node and demo alike: of each view the **median** over the planes,
as a multiple of what is usual for a stack of a patient left out of the fit; of these the largest. A stack is out where
that exceeds the threshold. The median lets single planes be odd (a vertex, an artefact); what makes a stack another
kind of image shows on most of its planes. ``fit_envelope.py`` fits it.
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
    """One view of a plane and what is usual in it."""

    name: str
    columns: tuple[str, ...]
    """Names of the F figures; empty: they have none."""
    ellipsoid: Ellipsoid
    usual: float
    """Median over commissioning's stacks, each of a patient left out of the fit, of the distance of a stack."""

    def distances(self, planes: Mapping[str, ArrayLike]) -> Numbers:
        """Return the distance of each plane in this view, as a multiple of what is usual for a stack, (N,).

        Raises:
            Refused: the view is missing or has another number of figures.
        """
        return self.ellipsoid.distance(_of_view(planes, self)) / self.usual


@dataclass(frozen=True, slots=True)
class Envelope:
    """Every view, and how far from commissioning a stack may lie."""

    views: tuple[EnvelopeView, ...]
    threshold: float
    """A stack is out beyond this multiple of what is usual, in any view."""
    epsilon: float
    """Share of stacks like these that may be out; with few patients 1 / (patients + 1), which is all they can show."""
    out: Interval
    """Share of commissioning's stacks out when their patient was left out of the fit."""
    groups: int
    planes: float
    """Of a stack of commissioning, in the median: held against single planes, a whole series passes more easily."""

    def ratio(self, planes: Mapping[str, ArrayLike]) -> float:
        """Return how far a stack lies from commissioning over what is allowed; it is out above 1.

        Args:
            planes: name of each view to (N, F), a row for each plane of the stack; infinitely far without a plane.

        Raises:
            Refused: a view is missing or has another number of figures.
        """
        return max(self.by_view(planes).values()) / self.threshold

    def by_view(self, planes: Mapping[str, ArrayLike]) -> Mapping[str, float]:
        """Return how far a stack lies from commissioning in each view, as a multiple of what is usual.

        Raises:
            Refused: as ``ratio``.
        """
        return {view.name: over_planes(view.distances(planes)) for view in self.views}

    def strangest(self, planes: Mapping[str, ArrayLike], name: str) -> tuple[str, float]:
        """Name the figure of one view in which a stack lies farthest from commissioning, and by how many SD of planes.

        Raises:
            Refused: the view is missing, has other figures, or its figures have no names.
        """
        view = next((view for view in self.views if view.name == name), None)
        if view is None or not view.columns:
            raise Refused(f"The envelope has no named figures of a view {name!r}.")
        away = (_of_view(planes, view) - view.ellipsoid.mean) / np.asarray(view.ellipsoid.sd)
        middle = np.median(np.nan_to_num(away, nan=np.inf), axis=0)
        column = int(np.abs(middle).argmax())
        return view.columns[column], float(middle[column])


@dataclass(frozen=True, slots=True)
class FormerView:
    """One view of the envelope of single maps, as release 0.1.0 fitted it."""

    name: str
    columns: tuple[str, ...]
    ellipsoid: Ellipsoid
    threshold: float
    epsilon: float
    out: Interval


@dataclass(frozen=True, slots=True)
class FormerEnvelope:
    """The envelope of single maps, as release 0.1.0 fitted it: its passports are read, but it is asked nothing."""

    views: tuple[FormerView, ...]
    epsilon: float
    out: Interval
    groups: int


def over_planes(distances: Numbers) -> float:
    """Return one distance for a stack: the median over its planes; infinite without a plane."""
    return float(np.median(distances)) if len(distances) else float("inf")


def _of_view(planes: Mapping[str, ArrayLike], view: EnvelopeView) -> Numbers:
    if view.name not in planes:
        raise Refused(f"The envelope needs the view {view.name!r}.")
    table = np.asarray(planes[view.name], np.float64)
    if table.ndim != 2 or table.shape[1] != len(view.ellipsoid.mean):
        raise Refused(f"The view {view.name!r} has {len(view.ellipsoid.mean)} figures, not those given.")
    return table
