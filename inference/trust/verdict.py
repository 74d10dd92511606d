"""The assessment of one map: signals, each with its null, and the verdict they give."""

from dataclasses import dataclass, field
from enum import StrEnum

from inference.archive import Floats


class Verdict(StrEnum):
    """The verdict shown beside a map."""

    TRUSTED = "TRUSTED"
    CAUTION = "CAUTION"
    WITHHELD = "WITHHELD"
    OUT_OF_ENVELOPE = "OUT OF ENVELOPE"
    UNCOMMISSIONED = "UNCOMMISSIONED"


@dataclass(frozen=True)
class Signal:
    """One measured quantity."""

    name: str
    """Machine name, such as ``replicate_spearman``."""
    meaning: str
    """One line for a person, such as "agreement with the replicates (Spearman)"."""
    tier: str
    """A (map and model), B (image at the peak), C (independent localiser)."""
    value: float
    null: float | None
    """Mean of the same quantity with other subjects' maps of the class in its place (``nulls.py``); None: no null."""
    null_interval: tuple[float, float] | None
    """95 % bootstrap interval of ``null`` over its subjects."""
    null_count: int
    """How many other subjects the null rests on; 0 where there is none."""
    referenced: float | None
    """a* = (value - null) / (1 - null): 0 as alike as maps of different subjects, 1 identical."""
    referenced_interval: tuple[float, float] | None
    """What ``null_interval`` makes of ``referenced``; the value itself is of one case and has no interval."""
    part: float | None = None
    """Contribution to the log-odds of the score against the average map of commissioning; above 0 supports the map."""


@dataclass(frozen=True)
class Trust:
    """The assessment of one map: verdict, reasons, score and signals."""

    verdict: Verdict
    reasons: tuple[str, ...]
    """Sentences a radiologist can read, the weightiest first."""
    score: float | None
    """Calibrated P(the map's peak lies in a true finding); None until the bundle is commissioned at this site."""
    signals: tuple[Signal, ...]
    """Those of the largest parts first; before commissioning those with a null first."""
    localiser: Floats | None = field(default=None, compare=False)
    """(rows, columns) of the plane shown: the localiser's probability of a finding; None: the bundle has none."""
    replicates: tuple[Floats, ...] = field(default=(), compare=False)
    """(rows, columns) of the plane shown, each: the maps of the bundle's replicates of the same finding."""
    decided_by: float | None = None
    """What TRUSTED is decided by and planes are chosen by: the lower of the score and P by the localiser alone."""
