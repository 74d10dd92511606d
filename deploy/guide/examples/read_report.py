"""Read a result's structured report (Comprehensive 3D SR, TID 1500) with pydicom alone; heatproof is not needed.

    python read_report.py REPORT.dcm

Prints, for each measurement group (TID 1410 or 1501) that has a verdict, its title, the probability of the finding as
the network gives it, the calibrated probability that the class is right, the verdict, the calibrated probability that
the map's peak lies in a true finding, and the capture that shows the map.
"""

import sys

from pydicom import dcmread
from pydicom.dataset import Dataset

MEASUREMENT_GROUP = ("125007", "DCM")
TRACKING_IDENTIFIER = ("112039", "DCM")
PROBABILITY = ("122157", "DCM")
VISUAL_EXPLANATION = ("130401", "DCM")
VERDICT = ("verdict", "99HEATPROOF")
CLASS_PROBABILITY = ("class_probability", "99HEATPROOF")
TRUST_SCORE = ("trust_score", "99HEATPROOF")


def concept(item: Dataset) -> tuple[str, str]:
    """Return code value (a long one has an attribute of its own, PS3.3 8.1) and scheme of an item's concept name."""
    name = item.ConceptNameCodeSequence[0]
    return name.get("CodeValue") or name.LongCodeValue, name.CodingSchemeDesignator


def all_items(dataset: Dataset) -> list[Dataset]:
    """Return every content item below a data set, depth first."""
    children = dataset.get("ContentSequence", [])
    return [item for child in children for item in (child, *all_items(child))]


def value_of(group: Dataset, wanted: tuple[str, str]) -> str | None:
    """Return the value of the group's first item of this concept, at any depth; None where it has none."""
    for item in all_items(group):
        if "ConceptNameCodeSequence" not in item or concept(item) != wanted:
            continue
        if item.ValueType == "NUM":
            return f"{item.MeasuredValueSequence[0].NumericValue:.3f}"
        if item.ValueType == "CODE":
            return str(item.ConceptCodeSequence[0].CodeMeaning)
        if item.ValueType == "IMAGE":
            return str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        return str(item.TextValue)
    return None


def main(path: str) -> None:
    """Print the findings of one report."""
    groups = [item for item in all_items(dcmread(path)) if concept(item) == MEASUREMENT_GROUP]
    for group in groups:
        if value_of(group, VERDICT) is None:
            continue
        print(value_of(group, TRACKING_IDENTIFIER))
        print(f"  probability {value_of(group, PROBABILITY)}")
        print(f"  P (class is right) {value_of(group, CLASS_PROBABILITY) or 'none: not calibrated'}")
        print(f"  verdict on the map {value_of(group, VERDICT)}")
        print(f"  P (peak in a true finding) {value_of(group, TRUST_SCORE) or 'none: no passport'}")
        print(f"  capture {value_of(group, VISUAL_EXPLANATION)}")


if __name__ == "__main__":
    main(sys.argv[1])
