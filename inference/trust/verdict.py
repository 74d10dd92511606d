"""How far a map can be trusted: the signals, each with its null, and the word they amount to."""

from dataclasses import dataclass, field
from enum import StrEnum

from inference.archive import Floats


class Verdict(StrEnum):
    """The word shown beside a map."""

    TRUSTED = "TRUSTED"
    CAUTION = "CAUTION"
    WITHHELD = "WITHHELD"
    OUT_OF_ENVELOPE = "OUT OF ENVELOPE"
    UNCOMMISSIONED = "UNCOMMISSIONED"


@dataclass(frozen=True)
class Signal:
    """One measured quantity."""

    name: str
    """Machine name, such as ``replicate_agreement_spearman``."""
    meaning: str
    """One line for a person, such as "agreement with 2 replicates (Spearman)"."""
    tier: str
    """A (map and model), B (image at the peak), C (independent witness)."""
    value: float
    null: float | None
    """Mean of the same quantity between maps of different subjects of the same class; None where it cannot be had."""
    null_interval: tuple[float, float] | None
    """95 % bootstrap interval of ``null`` over its subjects."""
    null_count: int
    """How many other subjects the null rests on; 0 where there is none."""
    referenced: float | None
    """a* = (value - null) / (1 - null): 0 as alike as maps of different subjects, 1 identical."""
    referenced_interval: tuple[float, float] | None
    """What ``null_interval`` makes of ``referenced``; the value itself is of one case and has no interval."""
    part: float | None = None
    """Its part in the log-odds of the score, against the average map of commissioning; above 0 speaks for the map."""


@dataclass(frozen=True)
class Trust:
    """Everything known about how far one map can be trusted."""

    verdict: Verdict
    reasons: tuple[str, ...]
    """Sentences a radiologist can read, the weightiest first."""
    score: float | None
    """Calibrated P(the map's peak lies in a true finding); None until the bundle is commissioned at this site."""
    signals: tuple[Signal, ...]
    """The weightiest first, where there is a score."""
    witness: Floats | None = field(default=None, compare=False)
    """(rows, columns) of the plane shown: the localiser's probability of a finding; None: no localiser or passport."""
    replicates: tuple[Floats, ...] = field(default=(), compare=False)
    """(rows, columns) of the plane shown, each: the maps of the bundle's replicates of the same finding."""
