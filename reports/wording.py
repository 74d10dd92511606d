"""Text and numbers as they are shown: printable ASCII, fixed decimals, no patient data."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from inference.reading.account import Disposition, StudyReading

TIERS = {"A": "map and model", "B": "image at the peak", "C": "independent localiser"}
"""The three kinds of evidence, always shown apart."""

if TYPE_CHECKING:  # they bring torch, which plain words do not need
    from inference.analysis import Analysis
    from inference.findings import Finding, PlaneRange
    from inference.passport.class_calibration import ClassCalibration
    from inference.passport.entries import Missed
    from inference.saliency.engine.maps import SaliencyMap
    from inference.trust.statement import Statement

PROBABILITY = "P(peak lies in a true finding)"
"""Name of the calibrated score."""
CLASS_PROBABILITY = "P(class is right)"
"""Name of the calibrated probability of a class."""
MIX_OF_CASES = (
    "A class' calibrated probability holds for a mix of cases as at commissioning; where the finding is rarer, it is "
    "too high."
)
_REPLACED = str.maketrans(
    {"\u2013": "-", "\u2014": "-", "\u2212": "-", "\u00d7": "x", "\u2265": ">=", "\u2264": "<=", "\u00df": "ss"}
)
"""Dashes, minus, times, at least, at most, sharp s: what Unicode itself has no plain form for."""


def plain(text: str) -> str:
    """Return the text in printable ASCII: it stands in objects of any character set and in any typeface.

    Accents are dropped; what has no plain form becomes a question mark; line ends become blanks.
    """
    decomposed = unicodedata.normalize("NFKD", text.translate(_REPLACED))
    kept = (" " if c.isspace() else c for c in decomposed if not unicodedata.combining(c))
    return "".join(c if " " <= c <= "~" else "?" for c in kept).replace("\\", "/").strip()


def sentence(text: str) -> str:
    """Return the text with a capital first letter."""
    return text[:1].upper() + text[1:]


def shortened(text: str, length: int) -> str:
    """Return the text, or its beginning and three dots, in at most ``length`` characters."""
    return text if len(text) <= length else text[: length - 3].rstrip() + "..."


def number(value: float | None) -> str:
    """Return two decimals; a dash where there is no number."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.2f}"


def signed(value: float | None) -> str:
    """Return two decimals with the sign always written; a dash where there is no number."""
    return "-" if value is None or not math.isfinite(value) else f"{value:+.2f}"


def interval(bounds: tuple[float, float] | None) -> str:
    """Return ``low to high``; empty where there is none."""
    return "" if bounds is None else f"{number(bounds[0])} to {number(bounds[1])}"


def digest(value: str) -> str:
    """Return the first twelve characters of a digest: enough to tell two apart by eye."""
    return plain(value)[:12]


def method_name(method: str) -> str:
    """Return ``integrated gradients`` for ``integrated_gradients``."""
    return plain(method).replace("_", " ")


def parameters(values: Mapping[str, str | int | float | bool]) -> str:
    """Return ``name value`` pairs, sorted by name."""
    return ", ".join(f"{plain(key)} {plain(str(values[key]))}" for key in sorted(values)) or "none"


def percent(share: float) -> str:
    """Return ``97 %``; nothing is shown as certain: ``over 99 %``, ``under 1 %``."""
    if share > 0.99:
        return "over 99 %"
    return "under 1 %" if share < 0.01 else f"{100 * share:.0f} %"


def size_in_words(size_bytes: int) -> str:
    """Return a size as people write it, in powers of 1000: ``72 GB``, ``1.4 TB``, ``512 bytes``."""
    size, units = float(size_bytes), ("bytes", "kB", "MB", "GB", "TB", "PB")
    place = 0
    while round(size, 1) >= 1000 and place < len(units) - 1:
        size, place = size / 1000, place + 1
    return f"{size:.1f} {units[place]}" if place and size < 10 else f"{size:.0f} {units[place]}"


def probability(finding: Finding, calibrated: float | None) -> str:
    """Return the probability that the class is right, what kind of number it is, and the threshold of the raw one.

    Args:
        finding: whose class it is.
        calibrated: at this site; None: it is not.
    """
    raw, threshold = number(finding.probability), f"threshold {number(finding.threshold)}"
    if calibrated is None:
        return f"probability {raw} (not calibrated), {threshold}"
    return f"{percent(calibrated)}, calibrated here (raw {raw}, {threshold})"


def calibration(label: str, known: ClassCalibration) -> str:
    """Say what the calibrated probability of a class rests on, or why there is none."""
    if known.recalibration is None:
        return f"The probability of {plain(label)} is not calibrated here. {plain(known.reason)}"
    return (
        f"The probability of {plain(label)} is calibrated on {known.cases} cases of commissioning: {known.with_class} "
        f"patients or groups with it, {known.without_class} with a case without it."
    )


HEADLINES = {
    "nothing found": "Nothing found: no plane reached the threshold of any class. This does not exclude disease.",
    "no statement": "No statement: unlike the images this model was commissioned on. How reliable it is on such images "
    "is unknown.",
}
"""What is said of a series without a finding."""
UNLIKE_WITH_FINDINGS = (
    "The images are unlike those this model was commissioned on: how reliable its findings are is unknown, and there "
    "is no statement on what it did not find."
)


def statement(said: Statement) -> tuple[str, ...]:
    """Return in sentences what is said of a series as a whole, the headline first; nothing where its findings say it.

    A series in which nothing was found carries what the passport knows of what the model misses, or that it is unknown;
    one without a statement says what differs.
    """
    if said.said == "found":
        return (UNLIKE_WITH_FINDINGS, *said.reasons) if said.outside else ()
    headline = HEADLINES[said.said.value]
    if said.said == "no statement":
        return (headline, *said.reasons)
    return (headline, *(missed(label, known) for label, known in said.missed.items()), *said.reasons)


def missed(label: str, known: Missed) -> str:
    """Say how many of those with a finding the model missed at commissioning."""
    if not known.of:
        return f"No one had {plain(label)} at commissioning: how often the model misses it is unknown."
    had = f"Of {known.of} {known.unit} with {plain(label)} at commissioning the model missed {known.missed}"
    return f"{had} ({number(known.missed / known.of)}, 95 % interval {interval(known.ci)})."


def planes_shown(analysis: Analysis) -> list[str]:
    """Say of each class of which not every called plane is shown how many were called and assessed, and why these.

    Args:
        analysis: of one stack.
    """
    sentences = []
    assessed = Counter(finding.label for finding in analysis.classification.findings)
    for label, count in assessed.items():
        called = sum(run.last - run.first + 1 for run in analysis.classification.ranges if run.label == label)
        few = [explained for explained in analysis.explanations if explained.map.finding.label == label]
        if called > len(few) and any(explained.trust.decided_by is not None for explained in few):
            chosen = f"the {len(few)} whose maps are most to be trusted are shown"
            sentences.append(f"{sentence(label)} is called on {called} planes; {count} were assessed, and {chosen}.")
    return sentences


def planes_found(planes: PlaneRange, count: int) -> str:
    """Return ``planes 9 to 14 of 24, highest 0.97 on plane 12``.

    Args:
        planes: with the finding.
        count: planes of the series.
    """
    if count == 1:
        return f"probability {number(planes.peak_probability)}"
    first, last = planes.first + 1, planes.last + 1
    where = f"plane {first} of {count}" if first == last else f"planes {first} to {last} of {count}"
    return f"{where}, highest {number(planes.peak_probability)} on plane {planes.peak + 1}"


def made_by(saliency_map: SaliencyMap) -> str:
    """Return the method with layer and seed."""
    layer = f", layer {plain(saliency_map.layer)}" if saliency_map.layer else ""
    return f"{method_name(saliency_map.method)}{layer}, seed {saliency_map.seed}"


def account_sentences(reading: StudyReading) -> tuple[str, ...]:
    """Say how many instances of a study were read, set apart and not meant for the bundle, and why."""
    counts = (
        f"Instances of the study: {reading.read} read, {reading.set_apart} set apart, "
        f"{reading.not_meant} not meant for this bundle."
    )
    reasons = [
        f"{sentence(disposition.value)}: {reason}"
        for disposition in (Disposition.SET_APART, Disposition.NOT_MEANT)
        for reason in reading.reasons(disposition)
    ]
    return (counts, *reasons, *reading.warnings)
