"""Budgets of evidence: which parts are gathered for one map, and which signals are read from them.

Every budget has what costs one pass or none: probability, the map's shape, the image at its peak, the features of the
envelope, and the localiser, without which nothing is TRUSTED. Each budget has its own calibrator and thresholds
(``commissioning/verdict/budget.py``): a formula fitted on all signals is not valid on some of them.
"""

from collections.abc import Mapping

from inference.options import Budget
from inference.trust.kinds import KINDS

PARTS: Mapping[Budget, frozenset[str]] = {
    "fast": frozenset({"replicates"}),
    "standard": frozenset({"replicates", "alternates"}),
    "full": frozenset({"replicates", "alternates", "twin", "contrast", "moved", "gradient", "covered"}),
}
"""The parts of the evidence each budget gathers, the cheapest budget first."""
LEFT_OUT: Mapping[Budget, str] = {
    "fast": "as standard, and the alternates",
    "standard": "random twin, next class, moved image, gradient, deletion and insertion",
    "full": "nothing",
}
"""What each budget drops, in words."""


def signals_of(parts: frozenset[str]) -> tuple[str, ...]:
    """Name the signals that can be read from these parts of the evidence, in the order of ``NAMES``."""
    return tuple(kind.name for kind in KINDS if not kind.part or kind.part in parts)
