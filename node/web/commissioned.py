"""What commissioning found of one bundle, as JSON: its passport and the threshold in force."""

from pydantic import BaseModel, ConfigDict

from inference.passport.passport import Criterion, Passport
from inference.passport.rules import RULES
from inference.trust.judge import promise, uncertified
from inference.trust.warrant import Warrant
from reports.passport.words import margin

Interval = tuple[float, float]


class Told(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(frozen=True)


class CriterionTold(Told):
    """One criterion of one method, as commissioning measured it."""

    name: str
    title: str
    deciding: bool
    value: float | None
    interval: Interval | None
    """95 %, bootstrap over groups."""
    cases: int
    groups: int
    null: float | None
    null_interval: Interval | None
    held_against: str
    """In words: the line, the null with a*, or the difference from the hardest control."""
    passed: bool | None
    """None: not judged."""
    clear: bool | None
    """Whether the interval clears the line; where not, the verdict is undecided."""
    reason: str
    """Why there is no value."""


class MethodTold(Told):
    """One saliency method or control."""

    name: str
    chosen: bool
    control: bool
    passes: int | None
    """Deciding criteria passed; None for a control."""
    criteria: tuple[CriterionTold, ...]


class ThresholdTold(Told):
    """From which score on a map is TRUSTED here."""

    alpha: float
    delta: float
    threshold: float | None
    patients: int
    maps: int
    misses: int
    upper: float | None
    """At confidence 1 - delta at most this share of TRUSTED maps misses."""
    sentence: str


class PassportTold(Told):
    """What commissioning found."""

    digest: str
    judged: str
    cases: int
    groups: int
    method: str | None
    reason: str
    beats_every_control: bool
    methods: tuple[MethodTold, ...]
    limits: tuple[str, ...]


def tell_threshold(warrant: Warrant) -> ThresholdTold:
    """Say from which score on a map is TRUSTED."""
    found = warrant.certificate
    return ThresholdTold(
        alpha=found.alpha,
        delta=found.delta,
        threshold=found.threshold,
        patients=found.groups,
        maps=found.trusted,
        misses=found.misses,
        upper=found.upper,
        sentence=uncertified(warrant) if found.threshold is None else promise(warrant),
    )


def tell_passport(passport: Passport) -> PassportTold:
    """Say what commissioning found: the chosen method first, controls last."""
    chosen, judged = passport.chosen, passport.data.splits[passport.data.judged]
    names = [name for name, entry in passport.methods.items() if entry.criteria]
    names.sort(
        key=lambda name: (passport.methods[name].control, name != chosen.method, -chosen.tally.get(name, 0), name)
    )
    methods = tuple(
        MethodTold(
            name=name,
            chosen=name == chosen.method,
            control=passport.methods[name].control,
            passes=chosen.tally.get(name),
            criteria=_criteria(passport.methods[name].criteria),
        )
        for name in names
    )
    return PassportTold(
        digest=passport.digest,
        judged=passport.data.judged,
        cases=judged.cases,
        groups=judged.groups,
        method=chosen.method,
        reason=chosen.reason,
        beats_every_control=chosen.beats_every_control,
        methods=methods,
        limits=passport.limits,
    )


def _criteria(measured: dict[str, Criterion]) -> tuple[CriterionTold, ...]:
    return tuple(
        CriterionTold(
            name=rule.name,
            title=rule.title,
            deciding=rule.deciding,
            value=one.value,
            interval=one.ci,
            cases=one.n,
            groups=one.groups,
            null=one.null,
            null_interval=one.null_ci,
            held_against=margin(one, rule),
            passed=one.passed,
            clear=one.clear,
            reason=one.reason,
        )
        for rule in RULES
        if (one := measured.get(rule.name)) is not None
    )
