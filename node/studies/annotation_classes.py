"""SOP classes of annotations of images: reports, presentation states, segmentations."""

SEGMENTATIONS = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})
_REPORTS, _PRESENTATION_STATES = "1.2.840.10008.5.1.4.1.1.88.", "1.2.840.10008.5.1.4.1.1.11."


def is_annotation_class(sop_class_uid: str) -> bool:
    """Whether a SOP class annotates images and holds no image to analyse."""
    return sop_class_uid in SEGMENTATIONS or sop_class_uid.startswith((_REPORTS, _PRESENTATION_STATES))
