"""Cells of the passport's section on the verdict: figures with their intervals, in words where there are none."""

from collections.abc import Mapping, Sequence
from typing import Any

from inference.commissioning.verdict.budget import MOST_BOGUS
from inference.statistics.bounds import binomial_upper_bound
from inference.statistics.risk_control import Unit
from inference.trust.judge import NAMES_OF_BOGUS
from reports.passport.block import Cell
from reports.wording import method_name, number, sentence, signed

Plain = Mapping[str, Any]
_UNSEEN = 0.025
"""One side of a 95 % interval: for what was never seen."""


def bogus_share(one: Plain, *, idle: bool) -> Cell:
    """Give a share with its interval; where it is 0 the exact one, by patients: all resamples of 0 are 0."""
    above = binomial_upper_bound(0, one["groups"], _UNSEEN)
    if one["value"] > 0:
        clear = max(one["high"], above) <= MOST_BOGUS if one["passed"] else one["low"] > MOST_BOGUS
        return Cell(fine(one), "", *mark(one["passed"], clear))
    if idle:
        return Cell("nothing TRUSTED", css="none")
    return Cell(fine({"value": 0.0, "low": 0.0, "high": above}), "", *mark(one["passed"], above <= MOST_BOGUS))


def bogus_name(kind: str) -> Cell:
    """Name a kind of bogus map."""
    return Cell(sentence(NAMES_OF_BOGUS.get(kind, method_name(kind))))


def unit_name(unit: str) -> str:
    """Name whom a certificate counts."""
    return "patient" if unit == Unit.PATIENT else "map (optimistic)"


def mark(passed: bool, clear: bool) -> tuple[str, str]:
    """Give the verdict in a word, in brackets where the interval leaves it open, and its style."""
    word, css = ("PASS", "pass") if passed else ("FAIL", "fail")
    return (word, css) if clear else (f"({word.lower()})", f"{css} unsure")


def fine(one: Plain | None) -> str:
    """Give three decimals with the interval, if there is one."""
    if one is None or one["value"] is None:
        return "-"
    return f"{one['value']:.3f}" + (f" [{one['low']:.3f}, {one['high']:.3f}]" if "low" in one else "")


def auroc_text(one: Plain | None) -> str:
    """Give an AUROC with its interval; that of a score without an order has none."""
    return f"{one['value']:.3f}, all alike" if one and one["low"] == one["high"] else fine(one)


def signed_interval(one: Plain) -> str:
    """Give two decimals with the sign, and the interval."""
    return f"{signed(one['value'])} [{signed(one['low'])}, {signed(one['high'])}]"


def stacked(one: Plain | None) -> Cell:
    """Give two decimals, the interval beneath: many columns."""
    if one is None:
        return Cell("-")
    spread = f"{number(one['low'])} to {number(one['high'])}"
    return Cell(number(one["value"]), "all alike" if one["low"] == one["high"] else spread)


def ece_cells(one: Plain | None) -> tuple[Cell, Cell]:
    """Give the ECE, and what chance alone gives."""
    return (Cell("-"), Cell("-")) if one is None else (Cell(fine(one["ece"])), Cell(f"{one['ece_if_perfect']:.3f}"))


def counted_splits(one: Plain) -> Cell:
    """Give a count of splits, its interval beneath."""
    return Cell(f"{one['count']} of {one['of']}", f"{one['low']:.3f} to {one['high']:.3f}")


def spread_text(value: float | None, bounds: Sequence[float] | None) -> str:
    """Give a mean over splits and the middle of them."""
    return "-" if value is None or bounds is None else f"{value:.3f} [{bounds[0]:.3f}, {bounds[1]:.3f}]"
