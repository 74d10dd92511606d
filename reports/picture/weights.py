"""Which signals are shown where there is no room for all: the localiser's, then the weightiest."""

import math

from inference.trust.verdict import Signal, Trust

MOST_SHOWN = 7


def weighed(trust: Trust) -> bool:
    """Say whether the signals have parts that may be shown: without a score there is nothing to be a part of."""
    return trust.score is not None and any(signal.part is not None for signal in trust.signals)


def chosen(trust: Trust) -> tuple[Signal, ...]:
    """Return what the picture shows, 7 signals at most, by tier.

    Those of tier C come first, for they alone are from outside the model, then the weightiest; before commissioning no
    signal has a weight, and those with a null come first. One that could not be measured is left to the report.
    """
    measured = [signal for signal in trust.signals if math.isfinite(signal.value)]
    first = sorted(measured, key=lambda signal: (signal.tier != "C", -abs(signal.part or 0.0)))[:MOST_SHOWN]
    return tuple(sorted(first, key=lambda signal: signal.tier))
