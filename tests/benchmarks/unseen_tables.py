"""Figures of judged maps: shares of verdicts, what TRUSTED maps miss, what the envelope removes and lets through."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.findings import Finding
from inference.statistics.bootstrap import Interval, share_by_group
from inference.trust.certified import SEED
from inference.trust.verdict import Trust, Verdict

VERDICTS = (Verdict.TRUSTED, Verdict.CAUTION, Verdict.WITHHELD, Verdict.OUT_OF_ENVELOPE)


@dataclass(frozen=True, eq=False)
class Judged:
    """One map and the verdict on it."""

    group: str
    called: bool
    finding: Finding
    probabilities: NDArray[np.floating]
    right: bool
    """The image has the class called."""
    miss: bool
    trust: Trust


def share(values: Sequence[bool], groups: Sequence[str]) -> Interval:
    """Return a share with its 95 % interval by group; where all are alike the exact one, counting groups."""
    return share_by_group(np.array(values), np.array(groups), seed=SEED)


def figures(rows: Sequence[Judged], alpha: float) -> dict[str, Any]:
    """Return the share of each verdict and what TRUSTED maps miss."""
    groups = [one.group for one in rows]
    trusted = [one for one in rows if one.trust.verdict is Verdict.TRUSTED]
    missed = share([one.miss for one in trusted], [one.group for one in trusted]) if trusted else None
    return {
        "maps": len(rows),
        "groups": len(set(groups)),
        "called": sum(one.called for one in rows),
        "verdicts": {word: asdict(share([one.trust.verdict is word for one in rows], groups)) for word in VERDICTS},
        "misses": sum(one.miss for one in rows),
        "trusted_misses": sum(one.miss for one in trusted),
        "trusted_miss": None if missed is None else asdict(missed),
        "guarantee": _guarantee(missed, alpha),
        "envelope": by_envelope(rows),
    }


def by_envelope(rows: Sequence[Judged]) -> dict[str, Any]:
    """Return the share of good maps that are OUT OF ENVELOPE, and of bad ones the share that are not; None: no map."""
    removed = [(one.group, one.trust.verdict is Verdict.OUT_OF_ENVELOPE) for one in rows if not one.miss]
    through = [(one.group, one.trust.verdict is not Verdict.OUT_OF_ENVELOPE) for one in rows if one.miss]
    return {
        name: {**asdict(share([word for _, word in pairs], [group for group, _ in pairs])),
               "count": sum(word for _, word in pairs)} if pairs else None
        for name, pairs in (("good_removed", removed), ("bad_let_through", through))
    }  # fmt: skip


def _guarantee(missed: Interval | None, alpha: float) -> str:
    """Say whether TRUSTED maps miss at most alpha: by the whole interval, or by the value alone."""
    if missed is None:
        return "nothing TRUSTED"
    if missed.value <= alpha:
        return "held" if missed.high is not None and missed.high <= alpha else "held by value"
    return "more than alpha" if missed.low is not None and missed.low > alpha else "more by value"


def shown(found: dict[str, Any] | None) -> str:
    """Write a share with its interval; a single group has none."""
    if found is None:
        return "-"
    edges = "" if found["low"] is None else f" [{found['low']:.3f}, {found['high']:.3f}]"
    return f"{found['value']:.3f}{edges}"


def print_envelope(found: Mapping[str, Mapping[str, Any]]) -> None:
    """Print for each kind of images what the envelope removes and lets through."""
    print(f"\n| images | good maps {Verdict.OUT_OF_ENVELOPE} | bad maps let through |\n|---|---|---|")
    for name, by_quality in found.items():
        cells = (
            "none" if one is None else f"{one['count']} of {one['n']}: {shown(one)}"
            for one in (by_quality["good_removed"], by_quality["bad_let_through"])
        )
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
