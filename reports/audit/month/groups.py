"""A route's findings by scanner, protocol, class, model or month, side by side: counts, shares and means.

Nothing here alarms: a difference between groups may be one between their patients.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from scipy.stats import t as student
from sqlalchemy import func, select

from inference.errors import UnknownName
from reports.audit.month.month import LEAST_MAPS, Proportion
from reports.audit.observations import GROUPINGS, Observations, Selection, observations
from reports.audit.repeatability.statistics import CONFIDENCE, Estimate

MONTH = "month"
SHARES = ("found", "trusted", "withheld")
"""Figures of 0 or 1, of which the share is given."""
MEANS = ("trust", "probability", "replicate_spearman")


@dataclass(frozen=True, slots=True)
class Group:
    """What one scanner, say, or one month has."""

    name: str
    cases: int
    shares: tuple[Proportion, ...]
    """Of ``SHARES``, each of the cases that have it."""
    means: Mapping[str, Estimate | None]
    """Of ``MEANS``, with 95 % intervals as if each case were of another patient; None: fewer than 30 cases have it."""


@dataclass(frozen=True, slots=True)
class Sums:
    """What the cases of one value add up to."""

    cases: int
    of: Mapping[str, tuple[float, ...]]
    """By figure: how many have it, their sum, and the sum of their squares."""


def groups_of(seen: Observations, grouping: str, selection: Selection) -> tuple[Group, ...]:
    """Return the groups, those with most cases first; months in time.

    Raises:
        UnknownName: neither a grouping nor ``month``.
    """
    return groups_from(grouping, [sums_of(seen, grouping, selection)])


def groups_from(grouping: str, parts: Sequence[Mapping[str, Sums]]) -> tuple[Group, ...]:
    """Return the groups of cases that were added up in parts."""
    gathered: defaultdict[str, list[Sums]] = defaultdict(list)
    for part in parts:
        for value, sums in part.items():
            gathered[_month(int(value)) if grouping == MONTH else value].append(sums)
    groups = [_group(name, _added(some)) for name, some in gathered.items()]
    if grouping == MONTH:
        return tuple(sorted(groups, key=lambda group: group.name))
    return tuple(sorted(groups, key=lambda group: (-group.cases, group.name)))


def sums_of(seen: Observations, grouping: str, selection: Selection) -> Mapping[str, Sums]:
    """Add up in the store, by day where months are asked for: a row for each value comes back, not one for each case.

    Raises:
        UnknownName: neither a grouping nor ``month``.
    """
    if grouping not in (*GROUPINGS, MONTH):
        raise UnknownName(f"There is no grouping {grouping!r}.", cure=f"There are {', '.join((*GROUPINGS, MONTH))}.")
    column = "day" if grouping == MONTH else grouping
    by, names = observations.c[column], (*SHARES, *MEANS)
    columns = [observations.c[name] for name in names]
    added = [
        aggregate
        for figure in columns
        for aggregate in (func.count(figure), func.sum(figure), func.sum(figure * figure))
    ]
    rows = seen.rows(select(by, func.count(), *added).group_by(by), selection)
    plain = [tuple(row) for row in rows]
    triples = [
        [tuple(float(value or 0) for value in row[at : at + 3]) for at in range(2, len(row), 3)] for row in plain
    ]
    return {
        str(row[0]): Sums(int(row[1]), dict(zip(names, three, strict=True)))
        for row, three in zip(plain, triples, strict=True)
    }


def _group(name: str, sums: Sums) -> Group:
    shares = tuple(Proportion(figure, round(sums.of[figure][1]), int(sums.of[figure][0])) for figure in SHARES)
    return Group(name, sums.cases, shares, {figure: _mean(sums.of[figure]) for figure in MEANS})


def _mean(sums: tuple[float, ...]) -> Estimate | None:
    count, total, squares = sums
    if count < LEAST_MAPS:
        return None
    mean = total / count
    variance = max(squares - count * mean**2, 0.0) / (count - 1)
    reach = float(student.ppf((1 + CONFIDENCE) / 2, count - 1)) * math.sqrt(variance / count)
    return Estimate(mean, mean - reach, mean + reach)


def _added(some: list[Sums]) -> Sums:
    figures = some[0].of
    of = {name: tuple(np.sum([sums.of[name] for sums in some], axis=0).tolist()) for name in figures}
    return Sums(sum(sums.cases for sums in some), of)


def _month(day: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)).strftime("%Y-%m")
