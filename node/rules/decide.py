"""The routing table: which bundles look at a study, and why, in words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from node.rules.series_header import SeriesHeader, is_about_patient, may_show
from node.settings.patterns import is_found
from node.settings.rule import Clause, Rule

_HIDDEN = "(value not shown)"
_LONGEST_SHOWN = 200
"""Characters of an attribute's values in a reason."""
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True)
class Route:
    """Where a study goes: the part of a rule that is not its condition."""

    name: str
    bundles: tuple[str, ...]
    destinations: tuple[str, ...]
    method: str | None
    """Saliency method; None: the bundle's own."""
    planes_explained: int


@dataclass(frozen=True)
class ClauseAnswer:
    """What one clause, or the hours of a rule, said."""

    held: bool
    sentence: str


@dataclass(frozen=True)
class SeriesAnswer:
    """What every clause of a rule said to the series that got the same answers."""

    numbers: tuple[int, ...]
    """Which series of the study, from 1, in the order of their UIDs."""
    held: bool
    clauses: tuple[ClauseAnswer, ...]


@dataclass(frozen=True)
class RuleAnswer:
    """Why one rule did, or did not, match a study: every clause, held against every series."""

    name: str
    held: bool
    hours: ClauseAnswer | None
    """None where the rule is asked at any time."""
    series: tuple[SeriesAnswer, ...]
    missing_series: tuple[str, ...]
    """Of the rule's expected series, those that are not here."""


@dataclass(frozen=True)
class Decision:
    """Which route, if any, and every clause that was asked on the way to it."""

    route: Route | None
    trace: tuple[str, ...]
    expected_series: int = 0
    """How many the rule that matched expects."""
    missing_series: tuple[str, ...] = ()
    """Those of them that the study has not."""

    @property
    def reason(self) -> str:
        """The trace as one text, a line for each series that a rule was held against."""
        return "\n".join(self.trace)


def decide(rules: Sequence[Rule], headers: Sequence[SeriesHeader], at: datetime) -> Decision:
    """Take the first rule whose clauses all hold on the same series of the study.

    Args:
        rules: the routing table, in order.
        headers: one for each series of the study.
        at: when it is decided, with a zone: rules may have hours, in local time.
    """
    trace: list[str] = []
    for rule in rules:
        hours = _in_hours(rule, at)
        if hours is not None and not hours.held:
            trace.append(f"rule {rule.name!r}: {hours.sentence}")
            continue
        for number, header in enumerate(headers, start=1):
            held, sentence = _first_failure(rule, header)
            trace.append(f"rule {rule.name!r}, series {number} of {len(headers)}: {sentence}")
            if held:
                missing = _missing_series(rule, headers)
                return Decision(_route(rule), tuple(trace), len(rule.expected_series), missing)
    if not rules:
        trace.append("there are no rules in the settings")
    return Decision(None, (*trace, "no rule matches this study"))


def explain(rules: Sequence[Rule], headers: Sequence[SeriesHeader], at: datetime) -> tuple[RuleAnswer, ...]:
    """Hold every clause of every rule against every series: the answer to why this was, or was not, analysed.

    Args:
        rules: the routing table, in order; the first that held decides.
        headers: one for each series of the study.
        at: when it is, or was, decided, with a zone.
    """
    return tuple(_answer(rule, headers, at) for rule in rules)


def _answer(rule: Rule, headers: Sequence[SeriesHeader], at: datetime) -> RuleAnswer:
    groups: dict[tuple[ClauseAnswer, ...], list[int]] = {}
    for number, header in enumerate(headers, start=1):
        groups.setdefault(tuple(_ask(clause, header) for clause in rule.when), []).append(number)
    series = tuple(
        SeriesAnswer(tuple(numbers), all(clause.held for clause in clauses), clauses)
        for clauses, numbers in groups.items()
    )
    hours = _in_hours(rule, at)
    held = (hours is None or hours.held) and any(one.held for one in series)
    return RuleAnswer(rule.name, held, hours, series, _missing_series(rule, headers))


def _route(rule: Rule) -> Route:
    return Route(
        name=rule.name,
        bundles=rule.bundles,
        destinations=rule.destinations,
        method=rule.method,
        planes_explained=rule.planes_explained,
    )


def _missing_series(rule: Rule, headers: Sequence[SeriesHeader]) -> tuple[str, ...]:
    here = [text for header in headers for text in header.values("SeriesDescription")]
    return tuple(wanted for wanted in rule.expected_series if not any(is_found(wanted, text) for text in here))


def _in_hours(rule: Rule, at: datetime) -> ClauseAnswer | None:
    """Say whether the rule is asked at this moment; the day is that on which the hours begin."""
    if rule.hours is None and not rule.weekdays:
        return None
    local = at.astimezone()
    start, end = (rule.hours or "00:00-00:00").split("-")
    clock, day = f"{local:%H:%M}", local
    if start < end:
        within = start <= clock < end
    else:  # over midnight; the same time twice is the whole day
        within = clock >= start or clock < end
        day = local - timedelta(days=1) if clock < start else local
    held = within and (not rule.weekdays or _DAYS[day.weekday()] in rule.weekdays)
    wish = " ".join([*([" ".join(rule.weekdays)] if rule.weekdays else []), *([rule.hours] if rule.hours else [])])
    moment = f"it is {_DAYS[local.weekday()]} {clock}"
    return ClauseAnswer(held, f"{moment}, as wanted ({wish})" if held else f"{moment}, wanted {wish}")


def _first_failure(rule: Rule, header: SeriesHeader) -> tuple[bool, str]:
    """Hold the clauses against one series, up to the first that fails."""
    told: list[str] = []
    for clause in rule.when:
        answer = _ask(clause, header)
        told.append(answer.sentence)
        if not answer.held:
            return False, "; ".join(told)
    return True, "; ".join(told) or "no condition"


def _ask(clause: Clause, header: SeriesHeader) -> ClauseAnswer:
    values = header.values(clause.attribute)
    held = _holds(clause, values)
    shown = _shortened("\\".join(values)) if may_show(clause.attribute) else _HIDDEN
    told = f"{clause.attribute} is {shown if values else 'missing'}"
    return ClauseAnswer(held, f"{told}, {'as wanted' if held else f'wanted {wish(clause)}'}")


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def _holds(clause: Clause, values: tuple[str, ...]) -> bool:
    if clause.exists is not None and clause.exists != bool(values):
        return False
    if clause.excludes is not None and any(is_found(clause.excludes, value) for value in values):
        return False
    asked = (clause.equals, clause.matches, clause.at_least, clause.at_most)
    return all(one is None for one in asked) or any(_fits(clause, value) for value in values)


def _fits(clause: Clause, value: str) -> bool:
    """Say whether one value is what equals, matches, at_least and at_most ask for, as far as they are given."""
    if clause.equals is not None and value.casefold() not in {wanted.casefold() for wanted in clause.wanted}:
        return False
    if clause.matches is not None and not is_found(clause.matches, value):
        return False
    if clause.at_least is None and clause.at_most is None:
        return True
    try:
        number = float(value)
    except ValueError:
        return False
    low, high = clause.at_least, clause.at_most
    return (low is None or number >= low) and (high is None or number <= high)


def wish(clause: Clause) -> str:
    """Say what a clause asks for; where it asks about the patient, not even that."""
    return _HIDDEN if is_about_patient(clause.attribute) else " and ".join(_wishes(clause))


def _wishes(clause: Clause) -> Iterator[str]:
    if clause.equals is not None:
        yield " or ".join(clause.wanted)
    if clause.matches is not None:
        yield f"a match of {clause.matches!r}"
    if clause.excludes is not None:
        yield f"no match of {clause.excludes!r}"
    if clause.at_least is not None:
        yield f"at least {clause.at_least:g}"
    if clause.at_most is not None:
        yield f"at most {clause.at_most:g}"
    if clause.exists is not None:
        yield "any value" if clause.exists else "it missing"
