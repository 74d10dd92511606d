"""Which objects of a series are not images of it, by their SOP class (PS3.4 annex B): they are set apart by name."""

from collections.abc import Sequence

from pydicom.uid import UID

_STORAGE = "1.2.840.10008.5.1.4.1.1."
NOT_IMAGES = {
    f"{_STORAGE}66.4": "annotations drawn on images",
    f"{_STORAGE}66.7": "annotations drawn on images",
    f"{_STORAGE}481.2": "a radiation dose",
    f"{_STORAGE}30": "figures derived from images",
}
"""SOP classes with pixels that are not an image of the patient, and what they hold instead."""
_SECONDARY_CAPTURES = tuple(f"{_STORAGE}7{part}" for part in ("", ".1", ".2", ".3", ".4"))


def objection_to(sop_class_uid: str, *, has_pixels: bool, of_series: Sequence[str]) -> str:
    """Return why an object is set apart from its series unread; empty where it is an image of it.

    Args:
        sop_class_uid: of the object.
        has_pixels: whether it has pixel data, of integers or not.
        of_series: SOP classes of all objects of the series.
    """
    name = UID(sop_class_uid).name if sop_class_uid else "object of no SOP Class"
    if sop_class_uid in NOT_IMAGES:
        return f"{name} holds {NOT_IMAGES[sop_class_uid]}, not an image."
    if not has_pixels:
        return f"{name} has no image pixels: there is no Pixel Data (7FE0,0010)."
    others = {kind for kind in of_series if kind not in _SECONDARY_CAPTURES and kind not in NOT_IMAGES}
    if sop_class_uid in _SECONDARY_CAPTURES and any("Image" in UID(kind).name for kind in others if kind):
        return f"{name} in a series of another kind of image: a picture of a screen or a report, not an image of it."
    return ""
