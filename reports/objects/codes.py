"""Coded concepts of the report: the standard's where it has one, 99HEATPROOF only where it has none."""

import re

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes

from inference.findings import Code
from inference.saliency.engine.protocol import ExplanationType
from inference.saliency.registry import method_named
from inference.trust.statement import Conclusion
from inference.trust.verdict import Signal, Verdict
from reports.picture.localiser import Seen
from reports.wording import TIERS, plain, shortened

SCHEME = "99HEATPROOF"
LONG_STRING = 64

PROBABILITY = CodedConcept("122157", "DCM", "Probability")
VISUAL_EXPLANATION = CodedConcept("130401", "DCM", "Visual explanation")
DERIVATION = CodedConcept("121401", "DCM", "Derivation")
COMMENT = CodedConcept("121106", "DCM", "Comment")
QUALITATIVE_EVALUATIONS = CodedConcept("C0034375", "UMLS", "Qualitative Evaluations")
IMAGING_MEASUREMENTS = CodedConcept("126010", "DCM", "Imaging Measurements")
FINDING = CodedConcept("121071", "DCM", "Finding")
POPULATION_DESCRIPTION = CodedConcept("121405", "DCM", "Population description")
REPLACED_REPORT = CodedConcept("121360", "DCM", "Replaced report")
TITLE = CodedConcept("126000", "DCM", "Imaging Measurement Report")
PROCEDURE_REPORTED = CodedConcept("121058", "DCM", "Procedure reported")
IMAGING_PROCEDURE = CodedConcept("363679005", "SCT", "Imaging procedure")
MAXIMUM = CodedConcept("56851009", "SCT", "Maximum")
SPATIAL = CodedConcept("309825002", "SCT", "Spatial and Relational Concept")
NO_UNITS = codes.UCUM.NoUnits

SUMMARY = CodedConcept("111017", "DCM", "CAD Processing and Findings Summary")
WITH_FINDINGS = CodedConcept("111242", "DCM", "All algorithms succeeded; with findings")
WITHOUT_FINDINGS = CodedConcept("111241", "DCM", "All algorithms succeeded; without findings")
NOT_ANALYSED = CodedConcept("111245", "DCM", "No algorithms succeeded; without findings")
"""CID 6047: what became of the analysis."""

_EXPLANATION_TYPES = {
    kind: CodedConcept(kind.value, "DCM", meaning)
    for kind, meaning in (
        (ExplanationType.CLASS_ACTIVATION, "Class activation"),
        (ExplanationType.GRADIENT_WEIGHTED, "Gradient-weighted class activation"),
        (ExplanationType.SALIENCY, "Saliency"),
    )
}
"""CID 217: how a visual explanation was derived."""

SOURCE_FOR_PROCESSING = CodedConcept("121322", "DCM", "Source image for image processing operation")


def own(value: str, meaning: str) -> CodedConcept:
    """Return a concept of 99HEATPROOF: no standard code exists for it."""
    return CodedConcept(value, SCHEME, shortened(plain(meaning), LONG_STRING))


THRESHOLD = own("threshold", "Decision threshold of the probability")
CLASS_PROBABILITY = own("class_probability", "Calibrated probability that the class is right")
VERDICT = own("verdict", "Verdict on the saliency map")
TRUST_SCORE = own("trust_score", "Calibrated probability that the peak lies in a true finding")
NULL_REFERENCED = own("null_referenced", "Null-referenced, a* = (value - null) / (1 - null)")
PART = own("part_in_log_odds", "Part in the log-odds of the score, above 0 for the map")
LOCALISER = own("localiser", "Independent localiser")
PEAK = own("map_peak", "Highest value of the saliency map")
LOCALISED = own("localised_region", "Region of the independent localiser")
MARKED = own("marked_region", "Region that the saliency map marks")
DETAIL = own("detail", "Numbers in detail")
STATEMENT = own("statement", "Statement on the series")
WHOLE_SERIES = own("whole_series", "The series as a whole")
DISTANCE = own("distance_from_commissioning", "Distance from commissioning's series over the allowed")


def explanation_type(method: str) -> CodedConcept:
    """Return the concept of CID 217 that a saliency method of the registry is.

    Raises:
        UnknownName: there is no such method.
    """
    return _EXPLANATION_TYPES[method_named(method).explanation]


def finding(code: Code | None, label: str) -> CodedConcept:
    """Return the bundle's own code of a class, or the class by its name where the bundle has none."""
    if code is not None:
        return CodedConcept(code.value, code.scheme, shortened(plain(code.meaning), LONG_STRING))
    return own(_value(label), label)


def probability_of(label: str) -> CodedConcept:
    """Return the concept of the highest probability of one class in a series."""
    return own(_value(f"probability_{label}"), f"Probability of {plain(label)}")


def signal(measured: Signal) -> CodedConcept:
    """Return the concept of a trust signal."""
    return own(_value(measured.name), measured.meaning)


def referenced(measured: Signal) -> CodedConcept:
    """Return the concept of a trust signal's a*: a name of its own, so that no reader takes it for the value itself."""
    return own(_value(f"{measured.name}_a_star"), f"a* of {measured.meaning}")


def part(measured: Signal) -> CodedConcept:
    """Return the concept of a trust signal's part in the score, by a name of its own like its a*."""
    return own(_value(f"{measured.name}_part"), f"Log-odds part: {measured.meaning}")


def localiser(what: Seen) -> CodedConcept:
    """Return the concept of what the localiser saw."""
    return own(_value(f"localiser_{what.name.lower()}"), what)


def hottest(per_cent: int) -> CodedConcept:
    """Return the concept of the hottest share of a map."""
    return own(f"hottest_{per_cent}_percent", f"Hottest {per_cent} % of the saliency map")


def tier(measured: Signal) -> CodedConcept:
    """Return the kind of evidence a signal is."""
    kind = plain(measured.tier)
    return own(_value(f"tier_{kind}"), f"Evidence {kind}: {TIERS.get(kind, 'other')}")


def verdict(word: Verdict) -> CodedConcept:
    """Return the concept of a verdict."""
    return own(_value(word.value.lower()), word.value)


def statement(said: Conclusion) -> CodedConcept:
    """Return the concept of what is said of a series as a whole."""
    return own(_value(said.value), said.value.capitalize())


def scheme() -> CodingSchemeIdentificationItem:
    """Identify 99HEATPROOF (PS3.3 C.12.1.1.2)."""
    return CodingSchemeIdentificationItem(SCHEME, name="heatproof trust signals", responsible_organization="heatproof")


def _value(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", plain(text)).strip("_") or "unnamed"
