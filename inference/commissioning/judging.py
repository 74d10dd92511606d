"""From raw figures to criteria: values with intervals over patients, nulls, baselines, and the rules' verdicts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inference.criteria.agreement import referenced
from inference.errors import Refused
from inference.passport.passport import Comparison, Criterion, Curve, Figure, Scalar
from inference.passport.rules import BLURRED, Rule
from inference.statistics import bootstrap as statistics
from inference.statistics.seeds import seed_of

DIGITS = 6
RAW_REASON = "reason"
Groups = NDArray[np.str_]
Also = float | Sequence[float] | tuple[Sequence[float], Groups]
"""A number, values of the same cases, or values of other cases with their patients."""


@dataclass(frozen=True)
class Reading:
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
    curve: Curve | None = None


def rounded(value: float) -> float | None:
    """Round to what a passport holds; None where there is no number."""
    return _rounded(value) if math.isfinite(value) else None


def figure_of(values: Sequence[float], groups: Groups) -> Figure:
    """Give the mean with its interval over groups."""
    try:
        found = statistics.mean_by_group(values, groups, seed=seed_of("bootstrap"))
    except Refused:
        return Figure(value=None, reason="not defined on any case")
    return figure_from(found)


def figure_from(found: statistics.Interval) -> Figure:
    """Give a passport's figure for an interval."""
    return Figure(value=rounded(found.value), ci=_interval(found), n=found.n, groups=found.groups)


def unmeasured(reason: str) -> Criterion:
    """Give the criterion that could not be measured."""
    return Criterion(value=None, passed=None, clear=None, reason=reason)


def judged(rule: Rule, method: str, readings: Mapping[str, Reading | str], controls: Sequence[str]) -> Criterion:
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
    baselines = {name: _mean(readings.get(name, "")) for name in named}
    parts = {
        **own.model_dump(),
        "baselines": baselines,
        "also": {name: _also(name, reading) for name in reading.also},
        "settings": dict(reading.settings),
        "curve": reading.curve,
    }
    if rule.kind == "controls":
        return _against_controls(rule, method, reading, readings, controls, parts)
    if rule.kind == "line":
        return _by_line(rule, own, parts)
    return _by_null(rule, reading, own, parts)


def _against_controls(
    rule: Rule,
    method: str,
    reading: Reading,
    readings: Mapping[str, Reading | str],
    controls: Sequence[str],
    parts: dict[str, object],
) -> Criterion:
    sign = 1.0 if rule.higher_is_better else -1.0
    against: dict[str, Comparison] = {}
    for name in rule.against or controls:
        other = readings.get(name, "")
        if name != method and isinstance(other, Reading) and np.array_equal(other.groups, reading.groups):
            try:
                found = statistics.paired_difference(
                    sign * np.asarray(reading.values), sign * np.asarray(other.values), reading.groups,
                    seed=seed_of("bootstrap"),
                )  # fmt: skip
            except Refused:
                continue
            against[name] = Comparison(
                value=rounded(found.interval.value) or 0.0,
                ci=_interval(found.interval),
                p_value=round(found.p_value, DIGITS),
            )
    parts["against"] = against
    if method in controls or method == BLURRED:
        return _criterion(parts, passed=None, clear=None, reason="a control: what the methods are held against")
    edges = [one.ci for one in against.values()]
    if not edges or None in edges:
        return _criterion(parts, passed=None, clear=None, reason="no control to compare with, or a single patient")
    passed = all(edge is not None and edge[0] > 0 for edge in edges)
    return _criterion(parts, passed=passed, clear=passed or any(edge is not None and edge[1] < 0 for edge in edges))


def _by_line(rule: Rule, own: Figure, parts: dict[str, object]) -> Criterion:
    if own.value is None or own.ci is None:
        return _criterion(parts, passed=None, clear=None, reason="a single patient has no interval")
    passed = own.value > rule.line
    parts["settings"] = {**_settings(parts), "line": rule.line}
    return _criterion(parts, passed=passed, clear=own.ci[0] > rule.line or own.ci[1] < rule.line)


def _by_null(rule: Rule, reading: Reading, own: Figure, parts: dict[str, object]) -> Criterion:
    """Hold a figure against that of different patients: below it for sensitivity, above it for agreement."""
    try:
        null = statistics.mean_by_group(reading.nulls, seed=seed_of("bootstrap"))
        margin = statistics.difference_of_means(
            reading.values, reading.nulls, reading.groups, seed=seed_of("bootstrap")
        )
    except Refused as error:
        return _criterion(parts, passed=None, clear=None, reason=str(error))
    parts |= {"null": rounded(null.value), "null_ci": _interval(null)}
    edges = _interval(margin)
    if rule.kind == "agreement":
        parts |= _referenced(own.value, null.value, edges)
    if edges is None:
        return _criterion(parts, passed=None, clear=None, reason="a single patient has no interval")
    if rule.kind == "agreement":
        passed = edges[0] > 0 and parts["referenced"] is not None
        reason = "" if parts["referenced"] is not None else "different patients agree as much as can be: no room above"
        return _criterion(parts, passed=passed, clear=not edges[0] <= 0 <= edges[1], reason=reason)
    clear = margin.excludes(0.0)
    return _criterion(parts, passed=margin.value < 0, clear=clear)


def _referenced(value: float | None, null: float, edges: tuple[float, float] | None) -> dict[str, object]:
    """a* and its interval: that of the difference over the room above the null, so that both clear 0 together."""
    found = None if value is None else referenced(value, null)
    if found is None:
        return {"referenced": None, "referenced_ci": None}
    room = 1.0 - null
    ci = None if edges is None else (round(edges[0] / room, DIGITS), round(edges[1] / room, DIGITS))
    return {"referenced": rounded(found), "referenced_ci": ci}


def _also(name: str, reading: Reading) -> Figure:
    given = reading.also[name]
    if isinstance(given, float | int):
        return Figure(value=rounded(given), reason="" if math.isfinite(given) else "not defined")
    values, groups = given if isinstance(given, tuple) else (given, reading.groups)
    found = figure_of(values, groups)
    nulls = reading.also_nulls.get(name)
    if nulls is None or found.value is None:
        return found
    null = statistics.mean_by_group(nulls, seed=seed_of("bootstrap"))
    margin = statistics.difference_of_means(values, nulls, groups, seed=seed_of("bootstrap"))
    more = _referenced(found.value, null.value, _interval(margin))
    return Figure.model_validate({**found.model_dump(), "null": rounded(null.value), **more})


def _mean(reading: Reading | str) -> float | None:
    if isinstance(reading, str):
        return None
    values = np.asarray(reading.values, dtype=np.float64)
    return None if np.isnan(values).all() else rounded(float(np.nanmean(values)))


def _criterion(parts: dict[str, object], *, passed: bool | None, clear: bool | None, reason: str = "") -> Criterion:
    return Criterion.model_validate({**parts, "passed": passed, "clear": clear, "reason": reason})


def _settings(parts: dict[str, object]) -> dict[str, Scalar]:
    found = parts["settings"]
    return dict(found) if isinstance(found, dict) else {}


def _interval(found: statistics.Interval) -> tuple[float, float] | None:
    return None if found.edges is None else (_rounded(found.edges[0]), _rounded(found.edges[1]))


def _rounded(value: float) -> float:
    return round(float(value), DIGITS) + 0.0
