"""Storage SOP classes (PS3.4 B.5): those whose instances are read, and those that can only be kept."""

from pynetdicom import AllStoragePresentationContexts

RETIRED_IMAGE_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.3": "RetiredUltrasoundMultiFrameImageStorage",
    "1.2.840.10008.5.1.4.1.1.5": "RetiredNuclearMedicineImageStorage",
    "1.2.840.10008.5.1.4.1.1.6": "RetiredUltrasoundImageStorage",
    "1.2.840.10008.5.1.4.1.1.12.3": "RetiredXRayAngiographicBiPlaneImageStorage",
}
"""Storage SOP classes of images that archives still hold, and that pynetdicom does not know."""
READ_CLASSES = (
    *(str(context.abstract_syntax) for context in AllStoragePresentationContexts),
    *RETIRED_IMAGE_CLASSES,
)
_READ = frozenset(READ_CLASSES)
_STANDARD, _STANDARD_STORAGE = "1.2.840.10008.", "1.2.840.10008.5.1.4.1.1."


def is_unread_class(sop_class_uid: str) -> bool:
    """Whether a SOP class is private, or a storage class of the standard that is not known here.

    What a private class is for cannot be told from its UID: each is taken for a storage class.
    """
    if sop_class_uid.startswith(_STANDARD):
        return sop_class_uid.startswith(_STANDARD_STORAGE) and sop_class_uid not in _READ
    return True
