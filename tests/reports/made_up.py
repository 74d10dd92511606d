"""Signals, nulls, parts and reasons that nobody measured: to see how they look, never what they say."""

from dataclasses import replace

import numpy as np

from inference.passport.calibrator import Recalibration
from inference.passport.class_calibration import ClassCalibration
from inference.trust.kinds import KINDS
from inference.trust.statement import Conclusion, Statement
from inference.trust.verdict import Signal, Verdict

REASONS = {
    Verdict.TRUSTED: (
        "At most 10% of maps TRUSTED like this miss (90% confidence, 41 patients of commissioning).",
        "The map has several spots.",
    ),
    Verdict.CAUTION: (
        "71.0% lies below the 86.2% from which on maps are TRUSTED here.",
        "The localiser points elsewhere.",
        "Another class claims the same place.",
        "The peak wanders as the image moves.",
    ),
    Verdict.WITHHELD: (
        "The map more likely points outside a finding than into one.",
        "The localiser sees no finding there.",
        "Another architecture points elsewhere.",
        "An untrained network draws this.",
    ),
    Verdict.OUT_OF_ENVELOPE: (
        "The image differs from those this model was commissioned on: how reliable its maps are is unknown.",
        "Largest deviation: high frequency share, 7.3 SD above commissioning's mean.",
    ),
    Verdict.UNCOMMISSIONED: ("This bundle has not been commissioned at this site: nothing here is calibrated.",),
}
SCORES = {Verdict.TRUSTED: 0.93, Verdict.CAUTION: 0.71, Verdict.WITHHELD: 0.18}


CALIBRATED = Statement(
    Conclusion.FOUND,
    (),
    {},
    0.6,
    calibrations={
        "glioma": ClassCalibration(
            recalibration=Recalibration((0.0,), (-1.0,), 1.0),
            cases=467,
            with_class=17,
            without_class=16,
            cross_fitted=False,
        )
    },
)
"""Of a series like those of commissioning: a raw probability of 0.97 is 0.922 here."""


def signals(*, localiser: bool = True, leaning: float = 0.3) -> tuple[Signal, ...]:
    """Return all signals of a site, the weightiest first; without a localiser tier C was not measurable."""
    random = np.random.default_rng(20261122)
    found = []
    for kind in KINDS:
        value, null, part = (
            random.uniform(0, 1),
            random.uniform(0.05, 0.5),
            random.normal(leaning, 1.6 if kind.referenced else 0.8),
        )
        signal = Signal(kind.name, kind.meaning, kind.tier, value, None, None, 0, None, None, part)
        if kind.referenced:
            low, high = null - 0.06, null + 0.07
            star, *reach = ((value - at) / (1 - at) for at in (null, high, low))
            signal = replace(signal, null=null, null_interval=(low, high), null_count=41)
            signal = replace(signal, referenced=star, referenced_interval=(reach[0], reach[1]))
        if kind.tier == "C" and not localiser:
            signal = replace(signal, value=float("nan"), part=0.0)
        found.append(signal)
    return tuple(sorted(found, key=lambda one: -abs(one.part or 0.0)))
