"""How repeatable maps are, as tables of a printed month: each kind of pair, all scanners, since the beginning."""

from collections.abc import Iterator
from dataclasses import dataclass

from reports.audit.repeatability.page import TITLES, Repeatability
from reports.audit.repeatability.repeats import PairGroup, Twice
from reports.audit.repeatability.statistics import LEAST_SUBJECTS, Estimate

HEADS = ("figure", "subjects", "within-subject SD", "repeatability coefficient", "ICC(A,1)", "limits of agreement")
WIDTHS = (31, 13, 36, 37, 33, 28)
"""Of the columns, in mm."""


@dataclass(frozen=True, slots=True)
class Table:
    """One kind of pair of one model and method; where there are too few there are no rows, and ``said`` says so."""

    title: str
    said: str
    rows: tuple[tuple[str, ...], ...] = ()


def repeatability_tables(found: Repeatability) -> Iterator[Table]:
    """Give the tables; in brackets 95 % intervals, limits of agreement without theirs."""
    for kind, (title, subject) in TITLES.items():
        whole = [one for one in found.groups if one.again is kind and one.is_whole]
        if not whole:
            yield Table(title, f"Nothing was measured so yet: {LEAST_SUBJECTS} {subject} are needed.")
        for group in whole:
            yield _table(group, title, subject)


def _table(group: PairGroup, title: str, subject: str) -> Table:
    names = (group.bundle, group.model[:12], group.other[:12], group.method)
    said = f"{', '.join(name for name in names if name)}: {group.subjects} {subject}."
    if group.missing:
        return Table(title, f"{said} Too few to say: {group.missing} more are needed.")
    return Table(title, said, tuple(_row(one) for one in group.twice))


def _row(one: Twice) -> tuple[str, ...]:
    figure = one.figure.replace("_", " ")
    if one.within is None or one.agreement is None:
        return (figure, str(one.subjects), f"{one.missing} more are needed", "", "", "")
    limits = f"{one.agreement.lower_limit.value:.3g} to {one.agreement.upper_limit.value:.3g}"
    told = (one.within.wsd, one.within.repeatability_coefficient, one.icc)
    return (figure, str(one.subjects), *(_told(each) for each in told), limits)


def _told(one: Estimate | None) -> str:
    return "no spread" if one is None else f"{one.value:.3g} [{one.low:.3g}, {one.high:.3g}]"
