"""From raw figures to criteria: values with intervals over patients, nulls, baselines, and the rules' verdicts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from inference.criteria.agreement import referenced
from inference.errors import Refused
from inference.passport.entries import Comparison, Criterion, CriterionCurve, Edges, Measurement, Scalar
from inference.passport.rules import BLURRED, CriterionRule
from inference.statistics import bootstrap as statistics
from inference.statistics.seeds import seed_of

DIGITS = 6
RAW_REASON = "reason"
Groups = NDArray[np.str_]
Also = float | Sequence[float] | tuple[Sequence[float], Groups]
"""A number, values of the same cases, or values of other cases with their patients."""


@dataclass(frozen=True)
class CriterionReading:
    """What one method says to one criterion, before it is judged.

    Attributes:
        values: of each case.
        groups: patient of each case.
        nulls: of pairs of different patients; empty where the rule needs none.
        also: further figures: values of each case, or one number.
        also_nulls: their nulls, by name.
        settings: what was chosen for it.
        curve: to be drawn.
    """

    values: Sequence[float]
    groups: Groups
    nulls: Sequence[float] = ()
    also: Mapping[str, Also] = field(default_factory=dict)
    also_nulls: Mapping[str, Sequence[float]] = field(default_factory=dict)
    settings: Mapping[str, Scalar] = field(default_factory=dict)
    curve: CriterionCurve | None = None


def rounded(value: float) -> float | None:
    """Round to what a passport holds; None where there is no number."""
    return _rounded(value) if math.isfinite(value) else None


def figure_of(values: Sequence[float], groups: Groups) -> Measurement:
    """Return the mean with its interval over groups."""
    try:
        interval = statistics.mean_by_group(values, groups, seed=seed_of("bootstrap"))
    except Refused:
        return Measurement(value=None, reason="not defined on any case")
    return figure_from(interval)


def figure_from(interval: statistics.Interval) -> Measurement:
    """Return a passport's figure for an interval."""
    return Measurement(value=rounded(interval.value), ci=_interval(interval), n=interval.n, groups=interval.groups)


def unmeasured(reason: str) -> Criterion:
    """Return the criterion that could not be measured."""
    return Criterion(value=None, passed=None, clear=None, reason=reason)


def judged(
    rule: CriterionRule, method: str, readings: Mapping[str, CriterionReading | str], controls: Sequence[str]
) -> Criterion:
    """Judge one method by one rule.

    Args:
        rule: of the criterion.
        method: name.
        readings: of every method and control, or the reason for none.
        controls: names.
    """
    reading = readings.get(method, "not measured")
    if isinstance(reading, str):
        return unmeasured(reading)
    own = figure_of(reading.values, reading.groups)
    if own.value is None:
        return unmeasured(own.reason)
    named = [*controls, *(name for name in rule.against if name not in controls)]
    criterion = Criterion(
        value=own.value,
        ci=own.ci,
        n=own.n,
        groups=own.groups,
        baselines={name: _mean(readings.get(name, "")) for name in named},
        passed=None,
        clear=None,
        also={name: _also(name, reading) for name in reading.also},
        settings=dict(reading.settings),
        curve=reading.curve,
    )
    if rule.kind == "controls":
        return _against_controls(rule, method, readings, controls, criterion)
    return _by_line(rule, criterion) if rule.kind == "line" else _by_null(rule, reading, criterion)


def _against_controls(
    rule: CriterionRule,
    method: str,
    readings: Mapping[str, CriterionReading | str],
    controls: Sequence[str],
    criterion: Criterion,
) -> Criterion:
    differences = {
        name: difference
        for name in rule.against or controls
        if name != method and (difference := _paired(rule, readings.get(method, ""), readings.get(name, "")))
    }
    criterion = replace(criterion, against=differences)
    if method in controls or method == BLURRED:
        return replace(criterion, reason="a control: what the methods are held against")
    edges = [difference.ci for difference in differences.values()]
    if not edges or None in edges:
        return replace(criterion, reason="no control to compare with, or a single patient")
    passed = all(edge is not None and edge[0] > 0 for edge in edges)
    return replace(criterion, passed=passed, clear=passed or any(edge is not None and edge[1] < 0 for edge in edges))


def _paired(rule: CriterionRule, own: CriterionReading | str, other: CriterionReading | str) -> Comparison | None:
    """Compare a method with a control on the same cases; None: they were measured on different ones."""
    if isinstance(own, str) or isinstance(other, str) or not np.array_equal(other.groups, own.groups):
        return None
    sign = 1.0 if rule.higher_is_better else -1.0
    values, control = sign * np.asarray(own.values), sign * np.asarray(other.values)
    try:
        difference = statistics.paired_difference(values, control, own.groups, seed=seed_of("bootstrap"))
    except Refused:
        return None
    interval = difference.interval
    return Comparison(
        value=rounded(interval.value) or 0.0, ci=_interval(interval), p_value=round(difference.p_value, DIGITS)
    )


def _by_line(rule: CriterionRule, criterion: Criterion) -> Criterion:
    if criterion.value is None or criterion.ci is None:
        return replace(criterion, reason="a single patient has no interval")
    low, high = criterion.ci
    return replace(
        criterion,
        passed=criterion.value > rule.line,
        clear=low > rule.line or high < rule.line,
        settings={**criterion.settings, "line": rule.line},
    )


def _by_null(rule: CriterionRule, reading: CriterionReading, criterion: Criterion) -> Criterion:
    """Hold a figure against that of different patients: below it for sensitivity, above it for agreement."""
    try:
        null = statistics.mean_by_group(reading.nulls, seed=seed_of("bootstrap"))
        margin = statistics.difference_of_means(
            reading.values, reading.nulls, reading.groups, seed=seed_of("bootstrap")
        )
    except Refused as error:
        return replace(criterion, reason=str(error))
    edges = _interval(margin)
    criterion = replace(criterion, null=rounded(null.value), null_ci=_interval(null))
    if rule.kind == "agreement":
        value, ci = _referenced(criterion.value, null.value, edges)
        criterion = replace(criterion, referenced=value, referenced_ci=ci)
    if edges is None:
        return replace(criterion, reason="a single patient has no interval")
    if rule.kind == "agreement":
        has_room = criterion.referenced is not None
        reason = "" if has_room else "different patients agree as much as can be: no room above"
        return replace(criterion, passed=edges[0] > 0 and has_room, clear=not edges[0] <= 0 <= edges[1], reason=reason)
    return replace(criterion, passed=margin.value < 0, clear=margin.excludes(0.0))


def _referenced(value: float | None, null: float, edges: Edges | None) -> tuple[float | None, Edges | None]:
    """a* and its interval: that of the difference over the room above the null, so that both clear 0 together."""
    above = None if value is None else referenced(value, null)
    if above is None:
        return None, None
    room = 1.0 - null
    ci = None if edges is None else (round(edges[0] / room, DIGITS), round(edges[1] / room, DIGITS))
    return rounded(above), ci


def _also(name: str, reading: CriterionReading) -> Measurement:
    given = reading.also[name]
    if isinstance(given, float | int):
        return Measurement(value=rounded(given), reason="" if math.isfinite(given) else "not defined")
    values, groups = given if isinstance(given, tuple) else (given, reading.groups)
    own = figure_of(values, groups)
    nulls = reading.also_nulls.get(name)
    if nulls is None or own.value is None:
        return own
    null = statistics.mean_by_group(nulls, seed=seed_of("bootstrap"))
    margin = statistics.difference_of_means(values, nulls, groups, seed=seed_of("bootstrap"))
    value, ci = _referenced(own.value, null.value, _interval(margin))
    return replace(own, null=rounded(null.value), referenced=value, referenced_ci=ci)


def _mean(reading: CriterionReading | str) -> float | None:
    if isinstance(reading, str):
        return None
    values = np.asarray(reading.values, dtype=np.float64)
    return None if np.isnan(values).all() else rounded(float(np.nanmean(values)))


def _interval(interval: statistics.Interval) -> Edges | None:
    return None if interval.edges is None else (_rounded(interval.edges[0]), _rounded(interval.edges[1]))


def _rounded(value: float) -> float:
    return round(float(value), DIGITS) + 0.0
