"""Every sentence of the pictures that are delivered: few words, plain terms, in this one place."""

import re

from inference.trust.verdict import Trust, Verdict
from reports.explained import ExplainedPlane, Plane
from reports.picture.localiser import Seen
from reports.product import PRODUCT, product_version
from reports.wording import number, percent, sentence, shortened

PARTLY_READ = "Slices of this series are missing: the report says how many and why."
NO_SUPPORT = "The map marks nothing on this slice."
NO_MAP = "Map withheld"
MORE = "Signals and model: see the report."
DETAILS = "Details of the overlay"
LOCALISER = {
    Seen.FINDING: "localiser",
    Seen.NOTHING: "localiser: nothing here",
    Seen.ABSENT: "no localiser",
}
"""In the legend below the map."""
LOCALISER_ALONE = {
    Seen.FINDING: "The localiser sees a finding on this slice.",
    Seen.NOTHING: "The localiser sees nothing on this slice.",
    Seen.ABSENT: "This model has no localiser.",
}
"""Where there is no map for it to stand beside."""
UNKNOWN = {
    Verdict.OUT_OF_ENVELOPE: "unknown on images like this",
    Verdict.UNCOMMISSIONED: "not calibrated here",
}
"""In place of the map's number."""
HOW_IT_IS_DRAWN = (
    "Colour: share of the map's 99.5th percentile, only where the map is positive. Outline: 0.5 of it. Ring: highest "
    "value. Dots: where the independent localiser's probability is 0.5 or more; it is no part of the map."
)
_LONGEST_NAME = 20
_TIGHT_PERCENT = re.compile(r"(?<=\d)%")
_NEXT_SENTENCE = re.compile(r"(?<=[a-z)%]\.) (?=[A-Z])")


def class_number(explained: ExplainedPlane) -> str:
    """Say how probable the class is: calibrated at this site, or as the network gives it."""
    finding = explained.map.finding
    name = shortened(sentence(finding.label), _LONGEST_NAME)
    if explained.class_probability is None:
        return f"{name} {number(finding.probability)}, not calibrated"
    return f"{name} {percent(explained.class_probability)}, calibrated here"


def map_number(trust: Trust) -> str:
    """Say how probable it is that the map's peak lies in a true finding."""
    known = UNKNOWN.get(trust.verdict, "not known") if trust.score is None else percent(trust.score)
    return f"The map marks it: {known}"


def reason(trust: Trust) -> str:
    """Return the first sentence of the weightiest reason; the details have them all."""
    first = _NEXT_SENTENCE.split(trust.reasons[0])[0] if trust.reasons else ""
    return _TIGHT_PERCENT.sub(" %", first)


def place(plane: Plane, series_number: object = None) -> str:
    """Return ``Series 4, slice 12 of 24, image 14``, as far as it is known."""
    parts = [f"Series {series_number}"] if series_number not in (None, "") else []
    parts += [f"slice {plane.number} of {plane.count}"] if plane.count > 1 else ["single image"]
    parts += [plane.shown_number] if plane.shown_number else []
    return sentence(", ".join(parts))


def made_with(name: str, its_version: str) -> str:
    """Name the model and the product."""
    return f"{name} {its_version}, {PRODUCT} {product_version()}."
