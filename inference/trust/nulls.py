"""The null distribution of an agreement: the same figure with another subject's map in place of the map shown.

Maps of different subjects agree too, since heads lie in the middle of every image (Arun et al. 2021): an agreement
counts above its null, a* = (value - null) / (1 - null). The definition is one; the subjects are patients of
commissioning where there is a passport, else those whose images the bundle ships.
"""

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inference.criteria.agreement import referenced
from inference.statistics.bootstrap import Interval, mean_by_group
from inference.trust.certified import SEED
from inference.trust.kinds import KINDS
from inference.trust.verdict import Signal

Numbers = NDArray[np.float64]
Nulls = Mapping[str, Interval]
"""By signal: mean over other subjects, 95 % bootstrap interval over them, and their number."""


def agreement_nulls(measured: Numbers, subjects: ArrayLike) -> dict[str, Interval]:
    """Return the null of every agreement that could be measured.

    Args:
        measured: (N, signals) in the order of ``NAMES``: each row another subject's map held against a case's evidence.
        subjects: (N,), whose intervals are drawn over: the bootstrap resamples subjects, not rows.
    """
    return {
        kind.name: mean_by_group(measured[:, column], subjects, seed=SEED)
        for column, kind in enumerate(KINDS)
        if kind.referenced and not np.isnan(measured[:, column]).all()
    }


def against_nulls(measured: Numbers, nulls: Nulls) -> Numbers:
    """Return a* of every agreement with a null, and every other signal as it is, (signals,) -> (signals,).

    NaN: not measured, or different subjects agree so well that nothing can lie above.
    """
    return np.array(
        [
            value if (null := nulls.get(kind.name)) is None else _referenced(float(value), null.value)
            for kind, value in zip(KINDS, measured, strict=True)
        ]
    )


def beside_nulls(
    measured: Numbers, nulls: Nulls, parts: Mapping[str, float], names: Collection[str]
) -> tuple[Signal, ...]:
    """Return each signal with its null: those of the largest parts first; without parts, those with a null first.

    Args:
        measured: (signals,), NaN where a signal cannot be had.
        nulls: by signal.
        parts: by signal, in the log-odds of the score; empty: there is no calibrator.
        names: of the signals to give: what the budget leaves out is not measured.
    """
    signals = [
        _signal(column, float(value), nulls.get(kind.name), parts.get(kind.name))
        for column, (kind, value) in enumerate(zip(KINDS, measured, strict=True))
        if kind.name in names
    ]
    return tuple(sorted(signals, key=lambda signal: (-abs(signal.part or 0.0), not parts and signal.null is None)))


def _signal(column: int, value: float, null: Interval | None, part: float | None) -> Signal:
    kind = KINDS[column]
    if null is None:
        return Signal(kind.name, kind.meaning, kind.tier, value, None, None, 0, None, None, part)
    starred = [_referenced(value, edge) for edge in (null.value, *(null.edges or ()))]
    has_reach = len(starred) == 3 and bool(np.isfinite(starred).all())
    return Signal(
        name=kind.name,
        meaning=kind.meaning,
        tier=kind.tier,
        value=value,
        null=null.value,
        null_interval=null.edges,
        null_count=null.groups,
        referenced=starred[0] if np.isfinite(starred[0]) else None,
        referenced_interval=(min(starred[1:]), max(starred[1:])) if has_reach else None,
        part=part,
    )


def _referenced(value: float, null: float) -> float:
    starred = referenced(value, null)
    return float("nan") if starred is None or np.isnan(value) else starred
