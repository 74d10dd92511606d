"""Where the attributes of one frame stand: in functional group macros of an enhanced object, else in the data set.

An attribute of an enhanced object is taken from the macro that defines it (PS3.3 C.7.6.16.2, C.8.13.5, C.8.15.3), in
the item of the frame or the shared one, and from nowhere else: private sequences and nested items repeat keywords with
other meanings.
"""

from collections.abc import Iterable

from pydicom import Dataset

from inference.reading.elements.header import damaged_vr, value_of

_BY_MACRO: dict[str, tuple[str, ...]] = {
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept", "RescaleType"),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"),
    "FrameContentSequence": (
        "StackID", "TemporalPositionIndex", "FrameAcquisitionNumber", "DimensionIndexValues",
        "FrameAcquisitionDateTime", "FrameReferenceDateTime",
    ),
    "FrameAnatomySequence": ("FrameLaterality", "AnatomicRegionSequence"),
    "MREchoSequence": ("EffectiveEchoTime",),
    "MRDiffusionSequence": ("DiffusionBValue", "DiffusionGradientDirectionSequence"),
    "MRModifierSequence": ("InversionRecovery", "InversionTimes"),
    "MRTimingAndRelatedParametersSequence": ("FlipAngle", "RepetitionTime"),
    "CardiacSynchronizationSequence": (
        "NominalCardiacTriggerDelayTime", "ActualCardiacTriggerDelayTime", "NominalPercentageOfCardiacPhase",
    ),
    "RespiratorySynchronizationSequence": (
        "NominalRespiratoryTriggerDelayTime", "ActualRespiratoryTriggerDelayTime",
        "NominalPercentageOfRespiratoryPhase",
    ),
    "TemporalPositionSequence": ("TemporalPositionTimeOffset",),
    "CTReconstructionSequence": ("ConvolutionKernel",),
    "CTXRayDetailsSequence": ("KVP",),
    "ContrastBolusUsageSequence": ("ContrastBolusAgentAdministered",),
}  # fmt: skip
"""The attributes that each macro defines, of those that are read."""
_MACRO = {keyword: macro for macro, keywords in _BY_MACRO.items() for keyword in keywords}
_FRAME_TYPES = (
    "MRImageFrameTypeSequence", "CTImageFrameTypeSequence", "PETFrameTypeSequence", "XRay3DFrameTypeSequence",
    "XAXRFFrameCharacteristicsSequence", "USImageDescriptionSequence",
)  # fmt: skip
"""The macros of Frame Type (0008,9007), one for each modality."""
_OF_FRAME_TYPE = ("FrameType", "ComplexImageComponent", "AcquisitionContrast", "VolumetricProperties")
_SECONDARY_CAPTURES = "1.2.840.10008.5.1.4.1.1.7."
"""Multi-frame Secondary Capture classes: their functional groups are optional beside the image's own attributes."""


def is_enhanced(dataset: Dataset) -> bool:
    """Return whether the attributes of frames stand in functional groups."""
    return bool(
        value_of(dataset, "PerFrameFunctionalGroupsSequence") or value_of(dataset, "SharedFunctionalGroupsSequence")
    )


def source_of(dataset: Dataset, index: int, keyword: str) -> Dataset:
    """Return what holds an attribute of frame ``index`` (0-based): the item of a macro, or the data set itself.

    An empty data set where an enhanced object lacks the macro.
    """
    macros = _FRAME_TYPES if keyword in _OF_FRAME_TYPE else (_MACRO.get(keyword),)
    if macros == (None,) or not is_enhanced(dataset):
        return dataset
    for item in _groups(dataset, index):
        for macro in macros:
            sequence = value_of(item, str(macro))
            if sequence:
                first: Dataset = sequence[0]
                return first
    captured = str(dataset.get("SOPClassUID") or "").startswith(_SECONDARY_CAPTURES)
    return dataset if captured else Dataset()


def of_frame(dataset: Dataset, index: int, keywords: Iterable[str]) -> Dataset:
    """Return these attributes as they hold for frame ``index`` (0-based), in a data set of their own.

    An element of a damaged value representation is taken as it is: it is not absent.
    """
    header = Dataset()
    for keyword in keywords:
        source = source_of(dataset, index, keyword)
        if value_of(source, keyword) is not None:
            header[keyword] = source[keyword]
        elif keyword in source and damaged_vr(source, keyword):
            element = source.get_item(keyword)
            header[element.tag] = element
    return header


def without_rescale(dataset: Dataset) -> frozenset[int]:
    """Return the frames of an enhanced object that have no Pixel Value Transformation where others have one."""
    items = value_of(dataset, "PerFrameFunctionalGroupsSequence") or ()
    macro = "PixelValueTransformationSequence"
    lacking = frozenset(index for index, item in enumerate(items) if not value_of(item, macro))
    shared = value_of(dataset, "SharedFunctionalGroupsSequence") or ()
    if len(lacking) == len(items) or any(value_of(item, macro) for item in shared[:1]):
        return frozenset()
    return lacking


def _groups(dataset: Dataset, index: int) -> tuple[Dataset, ...]:
    """Return the functional groups of one frame: its own before the shared ones."""
    per_frame = value_of(dataset, "PerFrameFunctionalGroupsSequence") or ()
    shared = value_of(dataset, "SharedFunctionalGroupsSequence") or ()
    return (*per_frame[index : index + 1], *shared[:1])
