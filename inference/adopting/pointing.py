"""Where the maps of a network point, held against what knows nothing, and what that says of the network."""

from collections.abc import Iterator
from dataclasses import dataclass

from inference.adopting.classes import tells_nothing
from inference.companions.report import CompanionReport
from inference.passport.entries import Criterion
from inference.passport.passport import Passport
from inference.passport.verdict import FittedVerdict
from inference.trust.judge import NAMES_OF_BOGUS

HIT_RATE = "localisation_hit_rate"
LOW = 0.5
"""Hit rate under which more than one map in two points elsewhere."""


@dataclass(frozen=True)
class Pointing:
    """Shares of maps whose peak lies in the finding."""

    hit: float | None
    """Of the method that is shown; None: nothing is outlined, or nothing is called."""
    edges: tuple[float, float] | None
    control: str
    """The control that hits most often; empty: none was measured."""
    control_hit: float | None
    is_beaten: bool
    """Whether every control is clearly beaten."""
    witness_hit: float | None
    """Of the localiser, on the same maps."""

    @property
    def words(self) -> str:
        """Return the hit rate as text."""
        return "" if self.hit is None else f"{self.hit:.2f}" + (
            "" if self.edges is None else f" [{self.edges[0]:.2f}, {self.edges[1]:.2f}]"
        )  # fmt: skip

    @property
    def is_below_control(self) -> bool:
        """Whether a control hits clearly more often."""
        return self.edges is not None and self.control_hit is not None and self.edges[1] < self.control_hit


def pointing_of(passport: Passport, report: CompanionReport) -> Pointing:
    """Read it out of a passport; the localiser's from the companions where there is no verdict."""
    entry = passport.methods.get(passport.bundle.method)
    criterion = None if entry is None else entry.criteria.get(HIT_RATE)
    verdict = passport.verdict
    if isinstance(verdict, FittedVerdict) and verdict.blind_spot is not None:
        witness: float | None = 1 - verdict.blind_spot.witness_misses.value
    else:
        measured = [entry.hit for entry in report.companions if entry.hit is not None]
        witness = measured[0].value if measured else None
    if criterion is None or criterion.value is None:
        return Pointing(None, None, "", None, False, witness)
    control, control_hit = _best_control(criterion)
    return Pointing(criterion.value, criterion.ci, control, control_hit, criterion.passed is True, witness)


def _best_control(criterion: Criterion) -> tuple[str, float | None]:
    known = {name: value for name, value in criterion.baselines.items() if value is not None}
    name = max(known, key=lambda key: known[key], default="")
    return name, known.get(name)


def pointing_sentences(passport: Passport, pointing: Pointing) -> Iterator[tuple[bool, str]]:
    """Yield what is to be said of where the maps point, with whether it is good."""
    if pointing.hit is None:
        return
    control = ""
    if pointing.control_hit is not None:
        name = NAMES_OF_BOGUS.get(pointing.control, pointing.control.replace("_", " "))
        control = f" Of the controls, {name} hits most often, {pointing.control_hit:.2f}."
    share = f"The peak of its map lies in the finding in {pointing.words} of the cases it calls.{control}"
    yield pointing.is_beaten, share
    if not pointing.is_beaten and not tells_nothing(passport):
        yield False, _elsewhere(pointing)
    yield from _perfect(passport)
    if pointing.witness_hit is not None:
        yield (
            pointing.witness_hit >= pointing.hit,
            f"The localiser, the witness from outside the network, hits {pointing.witness_hit:.2f}.",
        )


def _elsewhere(pointing: Pointing) -> str:
    """Say what it means that a network is right and its map points elsewhere."""
    strength = "it decides by something else than the finding" if pointing.is_below_control else (
        "it may decide by something else than the finding"
    )  # fmt: skip
    return (
        f"The network tells the classes apart, but its maps do not lie in the findings more often than maps that know "
        f"nothing of the image: {strength}, as a network does that learnt a shortcut (burnt-in text, calipers, "
        "borders, brightness), or its maps are too coarse for findings of this size."
    )


def _perfect(passport: Passport) -> Iterator[tuple[bool, str]]:
    verdict = passport.verdict
    if not isinstance(verdict, FittedVerdict):
        return
    counts = [verdict.counts.fitted] if verdict.crossed else [verdict.counts.fitted, verdict.counts.judged]
    cases, hits = sum(part.cases for part in counts), sum(part.hits for part in counts)
    if cases and cases == hits:
        yield (
            True,
            (
                f"Every one of {cases} maps that were judged points into its finding. What a miss looks like was "
                "learnt from bogus maps alone: the first true misses will come from other patients than these."
            ),
        )
