"""Which objects of a series are not images of it, by their SOP class (PS3.4 annex B): they are set apart by name."""

from collections.abc import Sequence

from pydicom.uid import UID

from inference.reading.instance import File

_STORAGE = "1.2.840.10008.5.1.4.1.1."
NOT_IMAGES = {
    f"{_STORAGE}66.4": "annotations drawn on images",
    f"{_STORAGE}66.7": "annotations drawn on images",
    f"{_STORAGE}481.2": "a radiation dose",
    f"{_STORAGE}30": "figures derived from images",
}
"""SOP classes with pixels that are not an image of the patient, and what they hold instead."""
_SECONDARY_CAPTURES = tuple(f"{_STORAGE}7{part}" for part in ("", ".1", ".2", ".3", ".4"))


def objection_to(file: File, classes: Sequence[str]) -> str:
    """Return why a file is set apart from its series unread; empty where it is an image of it.

    Args:
        file: of the series.
        classes: SOP classes of all files of the series.
    """
    name = UID(file.sop_class_uid).name if file.sop_class_uid else "object of no SOP Class"
    if file.sop_class_uid in NOT_IMAGES:
        return f"{name} holds {NOT_IMAGES[file.sop_class_uid]}, not an image."
    if not has_pixels(file):
        return f"{name} has no image pixels: there is no Pixel Data (7FE0,0010)."
    others = {kind for kind in classes if kind not in _SECONDARY_CAPTURES and kind not in NOT_IMAGES}
    if file.sop_class_uid in _SECONDARY_CAPTURES and any("Image" in UID(kind).name for kind in others if kind):
        return f"{name} in a series of another kind of image: a picture of a screen or a report, not an image of it."
    return ""


def has_pixels(file: File) -> bool:
    """Return whether a file has pixel data, of integers or not."""
    return file.pixels_at is not None or (file.deflated and "PixelData" in file.dataset)
