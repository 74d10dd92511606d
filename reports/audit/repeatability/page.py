"""How repeatable maps are: for the monthly report and for the console's audit page."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from markupsafe import Markup

from reports.audit.content import Block, Drawings, Heading, Paragraph, Table, html
from reports.audit.repeatability.agreement_picture import agreement_picture, cohort_picture
from reports.audit.repeatability.cohort import MOST_MAPS, Cohort
from reports.audit.repeatability.pair import MEASURED, Again
from reports.audit.repeatability.pairs import MOST_PAIRS
from reports.audit.repeatability.repeats import Between, PairGroup, Twice, groups_as_json
from reports.audit.repeatability.statistics import LEAST_SUBJECTS, Estimate

TITLES = {
    Again.REPLAY: ("The golden set replayed", "golden studies"),
    Again.EXAMINATION: ("The same patient examined again", "patients"),
    Again.REPLICATE: ("The same image by another training of the network", "patients"),
    Again.VERSION: ("The golden set by other weights than before", "golden studies"),
}
"""Title of each kind of pair, and what its subjects are."""
_ESTIMATES = (
    "within-subject SD", "repeatability coefficient", "ICC(A,1)", "CCC", "bias", "lower limit", "upper limit"
)  # fmt: skip
_WIDTHS_MM = (27, 14, 20, 20, 19, 18, 20, 20, 20)
_PICTURE_MM = 86
_METHODS = (
    "In brackets: 95 % intervals. Two measurements of one subject differ by less than the repeatability coefficient 19 "
    "times in 20; 19 of 20 differences lie between the limits of agreement (Bland and Altman). Each subject counts "
    f"once, by its newest pair, of the newest {MOST_PAIRS:,} pairs. A patient's examinations are registered rigidly "
    "before peaks and maps are compared, maps on planes at most one slice or 5 mm apart; these figures include changes "
    "in the patient between examinations. Replicates have no trust or probability of their own."
)
_COHORT_METHODS = (
    "Mean correlation of a map with the mean map of its class in the baseline, over patients, with its 95 % interval; "
    f"of the newest {MOST_MAPS:,} maps of each month (after C-Score, Bi et al. 2023)."
)


@dataclass(frozen=True, slots=True)
class Repeatability:
    """How repeatable the maps of one route are."""

    route: str
    groups: tuple[PairGroup, ...]
    cohorts: tuple[Cohort, ...] | None
    """None: no baseline is locked."""

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON tree, with what each group still needs."""
        cohorts = self.cohorts and [{**asdict(cohort), "missing": cohort.missing} for cohort in self.cohorts]
        return {"route": self.route, "groups": groups_as_json(self.groups), "cohorts": cohorts}


def repeatability_part(repeatability: Repeatability) -> Markup:
    """Return the content as HTML, to stand in a page."""
    return html(repeatability_content(repeatability))


def repeatability_content(repeatability: Repeatability) -> Iterator[Block]:
    """Yield tables and pictures of each kind of pair, and of the maps of each class."""
    for kind, (title, subject) in TITLES.items():
        groups = groups_shown(repeatability, kind)
        yield Heading(title, 3)
        if not groups:
            yield Paragraph(f"Nothing was measured so yet: {LEAST_SUBJECTS} {subject} are needed.")
            continue
        rows = tuple(row for group in groups for row in _rows(group, subject))
        yield Table(("figure", subject, *_ESTIMATES), rows, _WIDTHS_MM)
        whole = [
            figure for group in repeatability.groups if group.again is kind and group.is_whole for figure in group.twice
        ]
        pictures = tuple(
            (
                agreement_picture(figure, figure.agreement, MEASURED[figure.figure]),
                f"{_words(figure.figure)}: {figure.subjects} {subject}.",
            )
            for figure in whole
            if figure.agreement is not None
        )
        if pictures:
            yield Drawings(pictures, _PICTURE_MM)
    yield Paragraph(_METHODS)
    yield Heading("The maps of a class with each other", 3)
    yield from _cohorts(repeatability.cohorts)


def groups_shown(repeatability: Repeatability, kind: Again) -> list[PairGroup]:
    """Return the groups of one kind, without all together where there is but one scanner and protocol."""
    groups = (group for group in repeatability.groups if group.again is kind)
    kept: list[PairGroup] = []
    for _, same in groupby(
        groups, key=lambda group: (group.period, group.bundle, group.model, group.method, group.other)
    ):
        together = list(same)
        kept += together[1:] if len(together) == 2 else together
    return kept


def _rows(group: PairGroup, subject: str) -> Iterator[tuple[str, ...]]:
    other = f"former weights {group.other[:12]}" if group.again is Again.VERSION else group.other
    names = (other, group.method, group.scanner or "scanner unknown", group.protocol, group.period)
    yield (", ".join([f"{group.bundle} {group.model[:12]}", *(name for name in names if name)]),)
    if group.missing:
        yield "", f"{group.subjects} {subject}: {_too_few(group.missing)}."
    else:
        yield from map(_twice, group.twice)
        yield from map(_between, group.between)
        if group.median_days_apart is not None:
            yield "", f"Median interval between examinations: {group.median_days_apart:.0f} days."
    for reason, count in group.not_registered.items():
        yield "", f"{count} {subject}: {reason}."


def _twice(figure: Twice) -> tuple[str, ...]:
    if figure.within is None or figure.agreement is None:
        return _words(figure.figure), str(figure.subjects), _too_few(figure.missing)
    within, limits = figure.within, figure.agreement
    estimates = (
        within.wsd, within.repeatability_coefficient, figure.icc, figure.ccc, limits.bias, limits.lower_limit,
        limits.upper_limit,
    )  # fmt: skip
    return _words(figure.figure), str(figure.subjects), *map(_estimate, estimates)


def _between(figure: Between) -> tuple[str, ...]:
    value = f"mean {_estimate(figure.mean)}" if figure.mean else _too_few(figure.missing)
    return f"{_words(figure.figure)} of the two maps", str(figure.subjects), value


def _cohorts(cohorts: Sequence[Cohort] | None) -> Iterator[Block]:
    if cohorts is None:
        yield Paragraph("No baseline is locked: there is nothing to compare the maps with.")
        return
    if not cohorts:
        yield Paragraph(f"No map of a class that is in the baseline; {LEAST_SUBJECTS} patients a month are needed.")
        return
    rows = tuple(
        (
            cohort.label, cohort.bundle, cohort.method, cohort.month, str(cohort.patients), str(cohort.maps),
            _estimate(cohort.likeness) if cohort.likeness else _too_few(cohort.missing, "more patients"),
        )
        for cohort in cohorts
    )  # fmt: skip
    heads = ("class", "bundle", "method", "month", "patients", "maps", "consistency")
    yield Table(heads, rows, (28, 30, 34, 17, 16, 13, 40))
    by_class = (
        list(same) for _, same in groupby(cohorts, key=lambda cohort: (cohort.bundle, cohort.method, cohort.label))
    )
    drawn = [months for months in by_class if any(month.likeness is not None for month in months)]
    if drawn:
        yield Drawings(tuple((cohort_picture(months), "") for months in drawn), _PICTURE_MM)
    yield Paragraph(_COHORT_METHODS)


def _too_few(missing: int, more: str = "more") -> str:
    return f"too few to say; {missing} {more} are needed, {LEAST_SUBJECTS} in all"


def _estimate(estimate: Estimate | None) -> str:
    return "no spread" if estimate is None else f"{estimate.value:.3g} [{estimate.low:.3g}, {estimate.high:.3g}]"


def _words(name: str) -> str:
    return name.replace("_", " ")
