"""Test-retest repeatability of maps, by kind of retest, model, method, scanner, protocol and month.

A subject counts once in a group, by its newest pair, so that subjects are independent; a group of fewer than
``LEAST_SUBJECTS`` shows no number and says how many more it needs.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sqlalchemy import Engine

from inference.errors import Refused
from reports.audit.repeatability.pair import BETWEEN, MEASURED, NOT_NEEDED, RIGID, Again
from reports.audit.repeatability.pairs import KEYS, Read, read
from reports.audit.repeatability.statistics import (
    CONFIDENCE,
    LEAST_SUBJECTS,
    Agreement,
    Estimate,
    WithinSubject,
    bland_altman,
    concordance,
    intraclass_correlation,
    within_subject,
)

ALWAYS = "since the beginning"
ALL = "all together"
MOST_POINTS = 200
"""Drawn of each figure."""
OF_REPLICATES = ("peak_x_mm", "peak_y_mm", "peak_z_mm", "hot_area")
"""What a replicate has of its own: trust and probability are the deployed network's."""


@dataclass(frozen=True, slots=True)
class Twice:
    """One figure, measured twice of each subject; with too few subjects no number is given."""

    figure: str
    subjects: int
    within: WithinSubject | None = None
    icc: Estimate | None = None
    """ICC(A,1); None too where the figure is the same for every subject."""
    ccc: Estimate | None = None
    agreement: Agreement | None = None
    points: tuple[tuple[float, float], ...] = ()
    """Mean and difference of each subject's two measurements, the newest."""

    @property
    def missing(self) -> int:
        """How many more subjects it takes."""
        return max(LEAST_SUBJECTS - self.subjects, 0)


@dataclass(frozen=True, slots=True)
class Between:
    """One figure between the two maps of each subject."""

    figure: str
    subjects: int
    mean: Estimate | None = None

    @property
    def missing(self) -> int:
        """How many more subjects it takes."""
        return max(LEAST_SUBJECTS - self.subjects, 0)


@dataclass(frozen=True, slots=True)
class PairGroup:
    """Pairs of one kind, model, method, scanner, protocol and time."""

    again: Again
    period: str
    """A month, as 2026-10, or ``since the beginning``."""
    bundle: str
    model: str
    method: str
    other: str
    """Which replicate, or the weights before."""
    scanner: str
    """``all together``: of every scanner and protocol."""
    protocol: str
    subjects: int
    median_days_apart: float | None
    """Between two examinations, where their dates are known."""
    not_registered: Mapping[str, int]
    """Why maps could not be laid over each other, and of how many subjects."""
    twice: tuple[Twice, ...]
    between: tuple[Between, ...]

    @property
    def missing(self) -> int:
        """How many more subjects the group takes before it shows a number."""
        return max(LEAST_SUBJECTS - self.subjects, 0)

    @property
    def is_whole(self) -> bool:
        """Whether it is of every scanner and protocol, since the beginning."""
        return self.period == ALWAYS and self.scanner == ALL


def repeats_of(
    engine: Engine,
    route: str,
    bundles: Collection[str],
    month: tuple[datetime, datetime] | None = None,
    *,
    before: datetime | None = None,
) -> tuple[PairGroup, ...]:
    """Say how repeatable the maps of a route are, in a month and since the beginning.

    Args:
        engine: of the store.
        route: whose.
        bundles: of the route.
        month: begin and end; None: only since the beginning.
        before: first time no more of it.
    """
    groups: list[PairGroup] = []
    for again in Again:
        whole = read(engine, again, route, bundles, before=month[1] if month else before)
        groups += _groups(whole, again, ALWAYS)
        if month:
            groups += _groups(read(engine, again, route, bundles, *month), again, f"{month[0]:%Y-%m}")
    return tuple(groups)


def groups_as_json(groups: Sequence[PairGroup]) -> list[dict[str, Any]]:
    """Return groups as a JSON tree, with what each still needs; without the points that are drawn."""
    return [
        {
            **asdict(group),
            "least_subjects": LEAST_SUBJECTS,
            "missing": group.missing,
            "twice": [
                {**asdict(figure), "missing": figure.missing, "points": len(figure.points)} for figure in group.twice
            ],
            "between": [{**asdict(figure), "missing": figure.missing} for figure in group.between],
        }
        for group in groups
    ]


def _groups(pairs: Read, again: Again, period: str) -> list[PairGroup]:
    """Group pairs; each subject once in each group, by its newest pair."""
    rows: dict[tuple[str, ...], dict[str, int]] = {}
    for at, (key, subject) in enumerate(zip(pairs.keys, pairs.subjects, strict=True)):
        named = dict(zip(KEYS, key, strict=True))
        model = (named["bundle"], named["model"], named["method"], named["other"])
        for place in ((ALL, ""), (named["scanner"], named["protocol"])):
            rows.setdefault((*model, *place), {}).setdefault(subject, at)
    return [_group(pairs, again, period, key, np.array(list(rows[key].values()))) for key in sorted(rows, key=_order)]


def _order(key: tuple[str, ...]) -> tuple[object, ...]:
    return (*key[:4], key[4] != ALL, *key[4:])


def _group(pairs: Read, again: Again, period: str, key: tuple[str, ...], at: NDArray[np.int64]) -> PairGroup:
    bundle, model, method, other, scanner, protocol = key
    days = pairs.days_apart[at]
    why = Counter(pairs.registered[row] for row in at)
    names = OF_REPLICATES if again is Again.REPLICATE else tuple(MEASURED)
    twice = (_twice(name, pairs.figures[f"first_{name}"][at], pairs.figures[f"second_{name}"][at]) for name in names)
    return PairGroup(
        again, period, bundle, model, method, other, scanner, protocol, len(at),
        float(np.nanmedian(days)) if np.isfinite(days).any() and len(at) >= LEAST_SUBJECTS else None,
        {reason: count for reason, count in why.items() if reason not in (NOT_NEEDED, RIGID)},
        tuple(twice),
        tuple(_between(name, pairs.figures[name][at]) for name in BETWEEN),
    )  # fmt: skip


def _twice(figure: str, first: NDArray[np.float64], second: NDArray[np.float64]) -> Twice:
    here = np.isfinite(first) & np.isfinite(second)
    x, y = first[here], second[here]
    if len(x) < LEAST_SUBJECTS:
        return Twice(figure, len(x))
    subjects = np.arange(len(x))
    table = np.stack([x, y], axis=1)
    newest = table[:MOST_POINTS]
    return Twice(
        figure,
        len(x),
        within_subject(table.T.ravel(), np.concatenate([subjects, subjects])),
        _or_none(lambda: intraclass_correlation(table)),
        _or_none(lambda: concordance(x, y)),
        bland_altman(x, y),
        tuple(zip(newest.mean(axis=1).tolist(), (newest[:, 1] - newest[:, 0]).tolist(), strict=True)),
    )


def _or_none(figure: Any) -> Estimate | None:
    """Return a correlation; None where there is no spread to correlate."""
    try:
        estimate: Estimate = figure()
    except Refused:
        return None
    return estimate


def _between(figure: str, values: NDArray[np.float64]) -> Between:
    here = values[np.isfinite(values)]
    if len(here) < LEAST_SUBJECTS:
        return Between(figure, len(here))
    return Between(figure, len(here), mean_of(here))


def mean_of(values: NDArray[np.float64]) -> Estimate:
    """Return a mean and its 95 % interval (Student's t): (N,), at least two."""
    reach = float(stats.t.ppf(1 - (1 - CONFIDENCE) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return Estimate(float(values.mean()), float(values.mean()) - reach, float(values.mean()) + reach)
