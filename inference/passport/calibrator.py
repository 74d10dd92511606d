"""From signals to P(the map's peak lies in a true finding): a fitted formula, as plain data, each signal's part in it.

The log-odds are a sum over signals of a straight or bent line (hinges at two knots, Hastie and Tibshirani 1990), then
bent once more so that probabilities are right (Platt 1999; isotonic, Zadrozny and Elkan 2002). Every signal's part can
thus be put in words. ``commissioning/verdict/fit_calibrator.py`` fits it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from inference.errors import UnknownName

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Term:
    """One signal's part in the log-odds."""

    name: str
    tier: str
    low: float
    """Smallest value of the fit: what lies below counts as this, so that nothing counts for more than was seen."""
    high: float
    median: float
    """Stands in for a missing value."""
    mean: float
    sd: float
    knots: tuple[float, ...]
    """Where the line bends, on the standardised value; empty: straight."""
    weights: tuple[float, ...]
    """Of the standardised value, then of what it exceeds each knot by."""
    missing: float
    """Added where the value is missing; 0 where none was missing in the fit."""
    centre: float
    """The mean part over the honest maps of the fit, which every part is given relative to."""

    def __post_init__(self) -> None:
        if len(self.weights) != len(self.knots) + 1:
            raise ValueError("a term has one weight more than knots")

    def part(self, values: Numbers) -> Numbers:
        """Return the signal's part in the log-odds less the mean part, (N,) -> (N,); NaN: the value is missing."""
        absent = np.isnan(values)
        filled = np.clip(np.where(absent, self.median, values), self.low, self.high)
        standard = (filled - self.mean) / self.sd
        total = self.weights[0] * standard + self.missing * absent
        for knot, weight in zip(self.knots, self.weights[1:], strict=True):
            total = total + weight * np.maximum(standard - knot, 0.0)
        return np.asarray(total - self.centre)


@dataclass(frozen=True, slots=True)
class Recalibration:
    """A rising piecewise-linear map of log-odds to log-odds, straight on with ``slope`` beyond its ends."""

    before: tuple[float, ...]
    """(K,), rising."""
    after: tuple[float, ...]
    """(K,), never falling."""
    slope: float

    def __post_init__(self) -> None:
        if not 0 < len(self.before) == len(self.after):
            raise ValueError("a recalibration has as many points before as after, and at least one")

    def apply(self, log_odds: Numbers) -> Numbers:
        """Return the recalibrated log-odds, (N,) -> (N,)."""
        inside = np.interp(log_odds, self.before, self.after)
        beyond = np.minimum(log_odds - self.before[0], 0.0) + np.maximum(log_odds - self.before[-1], 0.0)
        return np.asarray(inside + self.slope * beyond)


@dataclass(frozen=True, slots=True)
class Calibrator:
    """A fitted formula for P(the map's peak lies in a true finding)."""

    tiers: str
    """The tiers asked for, such as ``ABC``."""
    terms: tuple[Term, ...]
    dropped: tuple[str, ...]
    """Signals of those tiers that were constant or nearly always missing in the fit, and say nothing."""
    intercept: float
    """Log-odds before recalibration of a map whose every signal has its mean part."""
    recalibration: Recalibration

    def parts(self, values: ArrayLike, names: Sequence[str]) -> Numbers:
        """Return each signal's part in the log-odds, before recalibration, against the average honest map of the fit.

        Args:
            values: (N, S); NaN: missing.
            names: of the S columns, in any order; more than the formula needs do no harm.

        Returns:
            (N, terms), in the order of ``terms``; above 0 speaks for the map.

        Raises:
            UnknownName: a signal the formula needs has no column.
        """
        columns = {name: column for column, name in enumerate(names)}
        absent = [term.name for term in self.terms if term.name not in columns]
        if absent:
            raise UnknownName(
                f"The calibrator needs {', '.join(absent)}.", cure="Give a missing signal as a column of NaN."
            )
        table = np.asarray(values, dtype=np.float64)
        parts = [term.part(np.ascontiguousarray(table[:, columns[term.name]])) for term in self.terms]
        return np.stack(parts, axis=1) if parts else np.zeros((len(table), 0))

    def restricted_to(self, names: Collection[str]) -> Self:
        """Return the formula on these signals alone; each other one counts as missing, a constant part."""
        missing = np.full(1, np.nan)
        constant = sum(float(term.part(missing)[0]) for term in self.terms if term.name not in names)
        kept = tuple(term for term in self.terms if term.name in names)
        return replace(self, terms=kept, intercept=self.intercept + constant)

    def log_odds(self, values: ArrayLike, names: Sequence[str]) -> Numbers:
        """Return the log-odds before recalibration, (N, S) -> (N,).

        Raises:
            UnknownName: as ``parts``.
        """
        parts = self.parts(values, names)
        total = np.full(len(parts), self.intercept)
        for part in parts.T:
            total = total + part
        return total

    def probability(self, values: ArrayLike, names: Sequence[str]) -> Numbers:
        """Return P(the map's peak lies in a true finding) of each map, (N, S) -> (N,).

        Raises:
            UnknownName: as ``parts``.
        """
        return np.asarray(expit(self.recalibration.apply(self.log_odds(values, names))))
