"""The kinds of result that are written: how settings and files name each, and its SOP class.

A new kind is a line here, a module with ``write(request)`` beside this one, and a line in ``results.WRITERS``. Settings
(``destinations.objects``) and the presentation contexts of the doctor follow from this table.
"""

from collections.abc import Mapping

from pydicom.uid import (
    UID,
    Comprehensive3DSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

ROLES: Mapping[str, UID] = {
    "capture": SecondaryCaptureImageStorage,
    "details": SecondaryCaptureImageStorage,
    "negative_capture": SecondaryCaptureImageStorage,
    "report": Comprehensive3DSRStorage,
    "segmentation": SegmentationStorage,
    "parametric_map": ParametricMapStorage,
    "presentation_state": GrayscaleSoftcopyPresentationStateStorage,
    "key_objects": KeyObjectSelectionDocumentStorage,
}
"""SOP class of each role."""
ALWAYS = ("capture", "report")
"""Written for every analysis, and what a destination gets unless its settings say otherwise."""
