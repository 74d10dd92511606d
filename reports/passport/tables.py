"""Tables of the passport's page: one row a method, the chosen one first, controls last."""

from collections.abc import Sequence
from dataclasses import dataclass

from inference.passport.entries import Criterion, Measurement
from inference.passport.passport import Passport
from inference.passport.rules import RULES, CriterionRule
from reports.passport.words import bracketed, figure, margin
from reports.wording import number

FEWEST_GROUPS = 10
"""Patients or groups below which no criterion is called passed or failed: no interval of so few can be believed."""
TOO_FEW = "too few"


@dataclass(frozen=True, slots=True)
class TableCell:
    """One figure of one method."""

    value: str
    """Empty: not measured."""
    null: tuple[str, ...] = ()
    """The lines beneath it: what its verdict rests on."""
    mark: str = ""
    css: str = ""
    count: str = ""
    """Cases and groups it was measured on."""
    reason: str = ""
    """Why there is no value or no verdict."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One method."""

    name: str
    css: str
    cells: tuple[TableCell, ...]
    tally: str = ""
    """Deciding criteria passed."""


@dataclass(frozen=True, slots=True)
class OtherTable:
    """One criterion by other figures."""

    title: str
    names: tuple[str, ...]
    rows: tuple[TableRow, ...]


def criteria_rows(passport: Passport, rules: Sequence[CriterionRule]) -> tuple[TableRow, ...]:
    """Return one row a method, with a cell for each rule."""
    return tuple(
        TableRow(
            name,
            _style(passport, name),
            tuple(_cell(passport.methods[name].criteria.get(rule.name), rule) for rule in rules),
            str(passport.chosen.tally.get(name, "-")),
        )
        for name in method_order(passport)
    )


def method_order(passport: Passport) -> list[str]:
    """Name the methods that were measured: the chosen first, then by criteria passed, controls last."""
    shown = [name for name, entry in passport.methods.items() if entry.criteria]
    methods = [name for name in shown if not passport.methods[name].control]
    methods.sort(key=lambda name: (name != passport.chosen.method, -passport.chosen.tally.get(name, 0)))
    return [*methods, *(name for name in shown if passport.methods[name].control)]


def counts_of(passport: Passport, name: str) -> str:
    """Say on how many cases and groups a criterion was measured."""
    counts = [
        (criterion.n, criterion.groups)
        for entry in passport.methods.values()
        if (criterion := entry.criteria.get(name)) is not None and criterion.value is not None
    ]
    return f"n {max(counts)[0]} in {max(counts)[1]} groups" if counts else "not measured"


def verdict(criterion: Criterion) -> tuple[str, str]:
    """Return the mark of a criterion, in words that stand without colour, and its style."""
    if criterion.passed is None:
        return "-", "none"
    if criterion.groups < FEWEST_GROUPS:
        return TOO_FEW, "none"
    word, css = ("PASS", "pass") if criterion.passed else ("FAIL", "fail")
    return (word, css) if criterion.clear else (f"({word.lower()})", f"{css} unsure")


def other_tables(passport: Passport) -> tuple[OtherTable, ...]:
    """Return for each criterion the table of its other figures, where it has any."""
    tables = []
    for rule in RULES:
        also = {
            method: entry.criteria[rule.name].also
            for method, entry in passport.methods.items()
            if rule.name in entry.criteria
        }
        names = tuple(dict.fromkeys(name for figures in also.values() for name in figures))
        rows = tuple(
            TableRow(method, _style(passport, method), tuple(_other(also[method].get(name)) for name in names))
            for method in method_order(passport)
            if also.get(method)
        )
        if names:
            tables.append(OtherTable(rule.title, names, rows))
    return tuple(tables)


def _style(passport: Passport, name: str) -> str:
    """Mark the chosen method and the controls; the page draws a line before the first control."""
    if passport.methods[name].control:
        return "control"
    return "picked" if name == passport.chosen.method else ""


def _cell(criterion: Criterion | None, rule: CriterionRule) -> TableCell:
    if criterion is None or criterion.value is None:
        return TableCell("", (), "-", "none", reason=criterion.reason if criterion else "not measured")
    mark, css = verdict(criterion)
    count = f"n {criterion.n}/{criterion.groups}"
    return TableCell(figure(criterion), _beneath(criterion, rule), mark, css, count, criterion.reason)


def _beneath(criterion: Criterion, rule: CriterionRule) -> tuple[str, ...]:
    """Return what a verdict rests on, by lines. A control is held against nothing but its null."""
    alone = rule.kind == "line" or (rule.kind == "controls" and criterion.passed is None)
    words = "" if alone else margin(criterion, rule)
    return tuple(words.split("; ")) if words else ()


def _other(measured: Measurement | None) -> TableCell:
    if measured is None:
        return TableCell("-")
    if measured.null is None:
        return TableCell(figure(measured))
    starred = f"a* {number(measured.referenced)}{bracketed(measured.referenced_ci)}"
    return TableCell(figure(measured), (f"null {number(measured.null)}, {starred}",))
