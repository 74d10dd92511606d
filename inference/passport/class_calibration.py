"""Whether a class is right: the network's probability of it, set right on a site's own annotated cases.

One question of two; whether the map points at the finding is the other, and the verdict's calibrator answers it. The
log-odds of the probability go through one straight line (Platt 1999), fitted on every case, called or not: of what a
network learns, its probabilities are seldom right by themselves (Guo et al. 2017). ``commissioning/calibrating.py``
fits it. It is of single planes (or volumes), and of a mix of cases as at commissioning: where a finding is rarer than
there, its probability is smaller than it says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from inference.passport.calibrator import Recalibration
from inference.statistics.bootstrap import Interval
from inference.statistics.withholding import MORE_LIKELY_WRONG

Numbers = NDArray[np.float64]
NEAREST = 1e-6
"""Probabilities are held so far from 0 and 1 before their log-odds are taken: float32 rounds many of them to 1."""
JudgedOn = Literal["every", "called", "surest"]
"""every: each case, called or not. called: those that reach the threshold of the class. surest: of these the most
probable of each patient, which is what a node shows first."""


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Cases of about the same probability."""

    probability: float
    """Their mean."""
    right: Interval
    """Share that has the class; 95 % over patients, exact binomial where all or none have it."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """Probabilities of a class beside the share of cases that have it."""

    ece: Interval
    """Mean |probability - share| over bins of equal mass (Naeini et al. 2015); biased upwards, its interval too."""
    ece_if_perfect: float
    """What chance alone gives: the mean ECE if every probability were right and cases independent."""
    brier: Interval
    """Mean squared difference from 1 where the class is right and 0 where it is not (Brier 1950); lower is better."""
    bins: tuple[ReliabilityBin, ...]
    """The reliability diagram, the lowest probabilities first."""


@dataclass(frozen=True, slots=True)
class JudgedProbability:
    """The probability as the network gives it, and as it was set right, on the same cases of the judged split."""

    right: Interval
    """Share of the cases that have the class, over how many cases and patients."""
    raw: Reliability
    calibrated: Reliability | None
    """By a line that saw none of their patients; None: there is no line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassCalibration:
    """How the probability of one class is set right at this site, and how well that held."""

    recalibration: Recalibration | None
    reason: str = ""
    """Why there is none."""
    cases: int
    """It was fitted on."""
    with_class: int
    """Patients among them with a case of the class."""
    without_class: int
    """Patients among them with a case of none or of another class."""
    cross_fitted: bool
    """Whether the judged split took part in the fit, and was judged by folds without its patients: a small site."""
    judged: Mapping[JudgedOn, JudgedProbability] = field(default_factory=dict)
    """A group without a case is left out."""

    def probability(self, raw: float) -> float | None:
        """Return the calibrated probability that the class is right; None: it is not calibrated."""
        return None if self.recalibration is None else float(set_right(self.recalibration, [raw])[0])


def class_doubt(known: Mapping[str, ClassCalibration], label: str, raw: float) -> str:
    """Say that a class is more likely wrong than right, whatever its map; empty: it is not, or it is not known.

    Args:
        known: by class.
        label: of the class that was called.
        raw: its probability as the network gives it.
    """
    calibrated = known[label].probability(raw) if label in known else None
    if calibrated is None or calibrated >= MORE_LIKELY_WRONG:
        return ""
    return f"The class is more likely wrong than right (P {calibrated:.2f}, calibrated here), wherever the map points."


def log_odds(probabilities: ArrayLike) -> Numbers:
    """Return the log-odds of probabilities, (N,) -> (N,), finite."""
    return np.asarray(logit(np.clip(np.asarray(probabilities, np.float64), NEAREST, 1 - NEAREST)))


def set_right(recalibration: Recalibration, probabilities: ArrayLike) -> Numbers:
    """Return the calibrated probabilities, (N,) -> (N,)."""
    return np.asarray(expit(recalibration.apply(log_odds(probabilities))))
