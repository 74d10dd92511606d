"""Which signals are shown where there is no room for all: the localiser's, then the weightiest."""

import math

from inference.trust.verdict import Signal, Trust

MOST_SHOWN = 7


def weighed(trust: Trust) -> bool:
    """Say whether the signals have parts that may be shown: without a score there is nothing to be a part of."""
    return trust.score is not None and any(signal.part is not None for signal in trust.signals)


def chosen(trust: Trust) -> tuple[Signal, ...]:
    """Give what the picture shows, by tier; all of them, as they came, where no signal has a part.

    Those of tier C come first, for they alone are from outside the model, then the weightiest, 7 in all. One that could
    not be measured is left to the report.
    """
    if all(signal.part is None for signal in trust.signals):
        return trust.signals
    measured = [signal for signal in trust.signals if math.isfinite(signal.value)]
    first = sorted(measured, key=lambda one: (one.tier != "C", -abs(one.part or 0.0)))[:MOST_SHOWN]
    return tuple(sorted(first, key=lambda one: one.tier))
