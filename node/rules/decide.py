"""The routing table: which bundles analyse a study, and why, in words; one evaluation gives both."""

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
    stack_contains: tuple[str, ...] = ()
    """Words one of which must stand in what tells a stack from the others of its series; empty: every stack."""
    takes_results: bool = False
    """Whether results of other nodes are analysed, too: its rule asks for their Manufacturer."""


@dataclass(frozen=True)
class ClauseAnswer:
    """Whether one clause, or the hours of a rule, held, in a sentence."""

    held: bool
    sentence: str


@dataclass(frozen=True)
class SeriesAnswer:
    """What every clause of a rule said to the series that got the same answers."""

    numbers: tuple[int, ...]
    """Which series of the study, from 1, in the order of their UIDs."""
    held: bool
    clauses: tuple[ClauseAnswer, ...]

    @property
    def sentence(self) -> str:
        """The clauses up to the first that did not hold."""
        failed = next((number for number, clause in enumerate(self.clauses, start=1) if not clause.held), None)
        return "; ".join(clause.sentence for clause in self.clauses[:failed]) or "no condition"


@dataclass(frozen=True)
class RuleAnswer:
    """Why one rule did, or did not, match a study: every clause, evaluated on every series."""

    name: str
    held: bool
    hours: ClauseAnswer | None
    """None where the rule applies at any time."""
    series: tuple[SeriesAnswer, ...]
    missing_series: tuple[str, ...]
    """Of the rule's expected series, those that are not here."""

    def trace(self) -> Iterator[str]:
        """Yield a line for each series, up to the first on which the rule holds."""
        if self.hours is not None and not self.hours.held:
            yield f"rule {self.name!r}: {self.hours.sentence}"
            return
        by_number = {number: answer for answer in self.series for number in answer.numbers}
        for number in sorted(by_number):
            yield f"rule {self.name!r}, series {number} of {len(by_number)}: {by_number[number].sentence}"
            if by_number[number].held:
                return


@dataclass(frozen=True)
class Decision:
    """Which route, if any, and what every clause of every rule said."""

    route: Route | None
    answers: tuple[RuleAnswer, ...] = ()
    expected_series: int = 0
    """How many the rule that matched expects."""
    missing_series: tuple[str, ...] = ()
    """Those of them that the study lacks."""
    note: str = ""
    """Why no rule was evaluated; empty where they were."""

    @property
    def trace(self) -> tuple[str, ...]:
        """A line for each series that a rule was held against, up to the rule that decided."""
        if self.note:
            return (self.note,)
        lines: list[str] = []
        for answer in self.answers:
            lines += answer.trace()
            if answer.held:
                return tuple(lines)
        if not self.answers:
            lines.append("there are no rules in the settings")
        return (*lines, "no rule matches this study")

    @property
    def reason(self) -> str:
        """The trace as one text."""
        return "\n".join(self.trace)


_BARRED = ClauseAnswer(held=False, sentence="a result of another node, whose Manufacturer the rule does not ask for")


def decide(rules: Sequence[Rule], headers: Sequence[SeriesHeader], at: datetime) -> Decision:
    """Evaluate every clause of every rule on every series: the first rule that holds on one series decides.

    Args:
        rules: the routing table, in order.
        headers: one for each series of the study.
        at: when it is decided, with a zone: rules may have hours, in local time.
    """
    answers = tuple(_answer(rule, headers, at) for rule in rules)
    for rule, answer in zip(rules, answers, strict=True):
        if answer.held:
            return Decision(_route(rule), answers, len(rule.expected_series), answer.missing_series)
    return Decision(None, answers)


def decide_by(rule: Rule, headers: Sequence[SeriesHeader]) -> Decision:
    """Take a rule that was asked for by its name, whatever its conditions say of the study."""
    note = f"rule {rule.name!r} was asked for by name, whatever its conditions"
    return Decision(_route(rule), (), len(rule.expected_series), _missing_series(rule, headers), note)


def _answer(rule: Rule, headers: Sequence[SeriesHeader], at: datetime) -> RuleAnswer:
    groups: dict[tuple[ClauseAnswer, ...], list[int]] = {}
    for number, header in enumerate(headers, start=1):
        clauses = tuple(_ask(clause, header) for clause in rule.when)
        is_barred = header.foreign_result and not rule.names_manufacturer
        groups.setdefault((_BARRED, *clauses) if is_barred else clauses, []).append(number)
    series = tuple(
        SeriesAnswer(tuple(numbers), all(clause.held for clause in clauses), clauses)
        for clauses, numbers in groups.items()
    )
    hours = _in_hours(rule, at)
    held = (hours is None or hours.held) and any(answer.held for answer in series)
    return RuleAnswer(rule.name, held, hours, series, _missing_series(rule, headers))


def _route(rule: Rule) -> Route:
    return Route(
        name=rule.name,
        bundles=rule.bundles,
        destinations=rule.destinations,
        method=rule.method,
        planes_explained=rule.planes_explained,
        stack_contains=rule.stack_contains,
        takes_results=rule.names_manufacturer,
    )


def _missing_series(rule: Rule, headers: Sequence[SeriesHeader]) -> tuple[str, ...]:
    here = [text for header in headers for text in header.values("SeriesDescription")]
    return tuple(pattern for pattern in rule.expected_series if not any(is_found(pattern, text) for text in here))


def _in_hours(rule: Rule, at: datetime) -> ClauseAnswer | None:
    """Say whether the rule applies at this moment; the day is that on which the hours begin."""
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
    required = " ".join([*rule.weekdays, *([rule.hours] if rule.hours else [])])
    moment = f"it is {_DAYS[local.weekday()]} {clock}"
    return ClauseAnswer(held, f"{moment}, as required ({required})" if held else f"{moment}, required {required}")


def _ask(clause: Clause, header: SeriesHeader) -> ClauseAnswer:
    values = header.values(clause.attribute)
    held = _holds(clause, values)
    shown = _shortened("\\".join(values)) if may_show(clause.attribute) else _HIDDEN
    observed = f"{clause.attribute} is {shown if values else 'missing'}"
    return ClauseAnswer(held, f"{observed}, {'as required' if held else f'required {requirement(clause)}'}")


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def _holds(clause: Clause, values: tuple[str, ...]) -> bool:
    if clause.exists is not None and clause.exists != bool(values):
        return False
    if clause.excludes is not None and any(is_found(clause.excludes, value) for value in values):
        return False
    asked = (clause.equals, clause.matches, clause.at_least, clause.at_most)
    return all(operand is None for operand in asked) or any(_fits(clause, value) for value in values)


def _fits(clause: Clause, value: str) -> bool:
    """Say whether one value is what equals, matches, at_least and at_most ask for, as far as they are given."""
    if clause.equals is not None and value.casefold() not in {permitted.casefold() for permitted in clause.wanted}:
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


def requirement(clause: Clause) -> str:
    """Say what a clause asks for; where it asks about the patient, not even that."""
    return _HIDDEN if is_about_patient(clause.attribute) else " and ".join(_requirements(clause))


def _requirements(clause: Clause) -> Iterator[str]:
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
