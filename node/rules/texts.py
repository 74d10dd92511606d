"""How long the text of a value may be (PS3.5 table 6.2-1): what the network sent is cut before a rule sees it."""

from pydicom.datadict import dictionary_has_tag, dictionary_VR

UNBOUNDED = 10_240
"""Characters that are looked at where the standard sets no bound (UC, UR, UT, bulk data), or the VR is unknown."""
_NUMBER = 64
"""Characters of DS and IS, which have 16 and 12: a number cut there would be another number."""
LONGEST = {
    "AE": 16, "AS": 4, "CS": 16, "DA": 18, "DS": _NUMBER, "DT": 54, "IS": _NUMBER, "LO": 64, "LT": 10_240,
    "PN": 3 * 64 + 2, "SH": 16, "ST": 1024, "TM": 28, "UI": 64,
}  # fmt: skip
"""Characters of one value by VR; PN: three component groups; DA, DT and TM: as they stand in a query."""


def vr_of(tag: int) -> str:
    """Return the VR of the dictionary; empty where it does not know the tag."""
    return dictionary_VR(tag) if dictionary_has_tag(tag) else ""


def cut(text: str, *vrs: str) -> str:
    """Return a value without padding and without NUL, cut to what the strictest of its VRs allows.

    Args:
        text: the value as it was read.
        vrs: as written in the data set, and as the dictionary has it: a sender may write any VR.
    """
    longest = min(LONGEST.get(vr, UNBOUNDED) for vr in vrs)
    return text.strip().replace("\0", "")[:longest].strip()
