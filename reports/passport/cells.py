"""Cells of the passport's section on the verdict: figures with their intervals, in words where there are none."""

from inference.passport.certificates import MOST_BOGUS, CheckedInterval
from inference.statistics.bootstrap import Interval
from inference.statistics.bounds import binomial_upper_bound
from inference.statistics.calibration import Calibration
from inference.statistics.resplits import Share
from inference.statistics.risk_control import Unit
from inference.trust.judge import NAMES_OF_BOGUS
from reports.passport.block import Cell
from reports.wording import method_name, number, sentence, signed

_UNSEEN = 0.025
"""One side of a 95 % interval, for an event that was never seen."""


def bogus_share(share: CheckedInterval, *, idle: bool) -> Cell:
    """Return a share with its interval; where it is 0 the exact one, by patients: all resamples of 0 are 0."""
    above = binomial_upper_bound(0, share.groups, _UNSEEN)
    if share.value > 0:
        low, high = share.edges or (0.0, 1.0)
        clear = max(high, above) <= MOST_BOGUS if share.passed else low > MOST_BOGUS
        return Cell(fine(share), "", *mark(share.passed, clear))
    if idle:
        return Cell("nothing TRUSTED", css="none")
    return Cell(_three(0.0, (0.0, above)), "", *mark(share.passed, above <= MOST_BOGUS))


def bogus_name(kind: str) -> Cell:
    """Name a kind of bogus map."""
    return Cell(sentence(NAMES_OF_BOGUS.get(kind, method_name(kind))))


def unit_name(unit: Unit) -> str:
    """Name whom a certificate counts."""
    return "patient" if unit is Unit.PATIENT else "map (optimistic)"


def mark(passed: bool, clear: bool) -> tuple[str, str]:
    """Return the verdict in a word, in brackets where the interval leaves it open, and its style."""
    word, css = ("PASS", "pass") if passed else ("FAIL", "fail")
    return (word, css) if clear else (f"({word.lower()})", f"{css} unsure")


def fine(interval: Interval | None) -> str:
    """Return three decimals with the interval, if there is one."""
    return "-" if interval is None else _three(interval.value, interval.edges)


def auroc_text(interval: Interval | None) -> str:
    """Return an AUROC with its interval; that of a score without an order has none."""
    if interval is None or not _all_alike(interval):
        return fine(interval)
    return f"{interval.value:.3f}, all alike"


def signed_interval(interval: Interval) -> str:
    """Return two decimals with the sign, and the interval."""
    edges = interval.edges
    return signed(interval.value) + ("" if edges is None else f" [{signed(edges[0])}, {signed(edges[1])}]")


def beneath(interval: Interval | None) -> Cell:
    """Return three decimals, the interval beneath."""
    if interval is None:
        return Cell("-")
    edges = interval.edges
    return Cell(f"{interval.value:.3f}", "" if edges is None else f"{edges[0]:.3f} to {edges[1]:.3f}")


def stacked(interval: Interval | None) -> Cell:
    """Return two decimals, the interval beneath: many columns."""
    if interval is None:
        return Cell("-")
    edges = interval.edges
    spread = "" if edges is None else f"{number(edges[0])} to {number(edges[1])}"
    return Cell(number(interval.value), "all alike" if _all_alike(interval) else spread)


def ece_cells(calibration: Calibration | None) -> tuple[Cell, Cell]:
    """Return the ECE, and what chance alone gives."""
    if calibration is None:
        return Cell("-"), Cell("-")
    return Cell(fine(calibration.ece)), Cell(f"{calibration.ece_if_perfect:.3f}")


def counted_splits(share: Share) -> Cell:
    """Return a count of splits, its interval beneath."""
    return Cell(f"{share.count} of {share.of}", f"{share.low:.3f} to {share.high:.3f}")


def spread_text(value: float | None, bounds: tuple[float, float] | None) -> str:
    """Return a mean over splits and the middle of them."""
    return "-" if value is None or bounds is None else _three(value, bounds)


def _all_alike(interval: Interval) -> bool:
    return interval.edges is not None and interval.edges[0] == interval.edges[1]


def _three(value: float, edges: tuple[float, float] | None) -> str:
    return f"{value:.3f}" + ("" if edges is None else f" [{edges[0]:.3f}, {edges[1]:.3f}]")
