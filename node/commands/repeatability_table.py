"""How repeatable maps are, as text: a line for each figure of each group."""

from collections.abc import Iterator

from reports.audit.repeatability.page import TITLES, Repeatability, groups_told
from reports.audit.repeatability.repeats import Between, PairGroup, Twice
from reports.audit.repeatability.statistics import LEAST_SUBJECTS, Estimate

_WIDTHS = (24, 8, 26, 26, 26, 26, 28, 26, 26)
_HEAD = ("figure", "subjects", "within-subject SD", "repeatability coeff.", "ICC(A,1)", "CCC", "bias", "lower limit",
         "upper limit")  # fmt: skip


def repeatability_lines(found: Repeatability) -> Iterator[str]:
    """Give the lines; in brackets 95 % intervals."""
    for kind, (title, subject) in TITLES.items():
        groups = groups_told(found, kind)
        yield f"{title}{'' if groups else f': nothing was measured so yet; {LEAST_SUBJECTS} {subject} are needed'}"
        for group in groups:
            yield from _group(group, subject)
    yield "The maps of a class with each other"
    if found.cohorts is None:
        yield "  No baseline is locked: there is nothing to hold the maps against."
    for one in found.cohorts or ():
        said = _told(one.likeness) if one.likeness else _few(one.patients, one.missing, "patients")
        yield f"  {one.label}, {one.bundle}, {one.method}, {one.month}: {said}"


def _group(group: PairGroup, subject: str) -> Iterator[str]:
    named = (
        group.bundle,
        group.model[:12],
        group.other[:12],
        group.method,
        group.scanner,
        group.protocol,
        group.period,
    )
    yield "  " + ", ".join(name for name in named if name)
    for reason, count in group.not_registered.items():
        yield f"    {count} {subject}: {reason}"
    if group.missing:
        yield f"    {_few(group.subjects, group.missing, subject)}"
        return
    yield _row(_HEAD)
    for one in group.twice:
        yield _figure(one, subject)
    for between in group.between:
        yield _between(between, subject)


def _figure(one: Twice, subject: str) -> str:
    if one.within is None or one.agreement is None:
        return _row((one.figure, str(one.subjects), _few(one.subjects, one.missing, subject)))
    limits = one.agreement
    told = (one.within.wsd, one.within.repeatability_coefficient, one.icc, one.ccc, limits.bias, limits.lower_limit,
            limits.upper_limit)  # fmt: skip
    return _row((one.figure, str(one.subjects), *(_told(each) for each in told)))


def _between(one: Between, subject: str) -> str:
    said = f"mean {_told(one.mean)}" if one.mean else _few(one.subjects, one.missing, subject)
    return _row((f"{one.figure} of maps", str(one.subjects), said))


def _few(here: int, missing: int, subject: str) -> str:
    return f"{here} {subject}: too few to say, {missing} more are needed, {LEAST_SUBJECTS} in all"


def _told(one: Estimate | None) -> str:
    return "no spread" if one is None else f"{one.value:.3g} [{one.low:.3g}, {one.high:.3g}]"


def _row(cells: tuple[str, ...]) -> str:
    return (
        "    "
        + " ".join(cell.replace("_", " ").ljust(width) for cell, width in zip(cells, _WIDTHS, strict=False)).rstrip()
    )
