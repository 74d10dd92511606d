"""What can tell one stack of a series from another, and how each of its values is called."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.datadict import dictionary_description
from pydicom.uid import UID

from inference.errors import UnsupportedImage
from inference.reading.elements.header import hint_of, numbers_of, text_of, texts_of, value_of
from inference.reading.elements.macros import is_enhanced, source_of
from inference.reading.elements.moments import moment_of, time_of
from inference.reading.geometry import plane_of
from inference.reading.instance import File, Frame
from inference.reading.layout import Layout

Value = str | tuple[str, ...] | tuple[float, ...] | None
"""What a plane has of a trait; numbers are compared with the tolerance of the trait."""

MAPS = frozenset(
    {
        "ADC", "EADC", "EXP", "FA", "TRACE", "TRACEW", "MIP", "MINIP", "MAX_IP", "MIN_IP", "PHASE MAP", "PHASE", "P",
        "R", "REAL", "I", "IMAGINARY", "VELOCITY", "T1", "T2", "T2_STAR", "T1 MAP", "T2 MAP", "R2_STAR", "W", "WATER",
        "F", "FAT", "IN_PHASE", "OUT_PHASE", "OPP_PHASE", "CBF", "CBV", "MTT", "TTP", "TMAX", "PEI", "SUBTRACTION",
        "SUB", "DIFFERENCE", "MAXIMUM", "MINIMUM",
    }
)  # fmt: skip
"""Words of Image Type that say that values mean something else (PS3.3 C.7.6.1.1.2, C.8.13.3.1.1)."""
LOCALISER = "LOCALIZER"


@dataclass(frozen=True, eq=False)
class UndecodedPlane:
    """One frame of a series, before its pixels are decoded."""

    file: File
    layout: Layout
    index: int
    frame: Frame

    def texts(self, keyword: str) -> tuple[str, ...]:
        """Return the values of an element of this frame, upper case."""
        return texts_of(source_of(self.file.dataset, self.index, keyword), keyword)

    def hint(self, keyword: str) -> float | None:
        """Return an element of this frame as a number, if it is one."""
        return hint_of(source_of(self.file.dataset, self.index, keyword), keyword)

    @property
    def image_type(self) -> tuple[str, ...]:
        """Frame Type (0008,9007), or Image Type (0008,0008) where the object has none."""
        own = self.texts("FrameType") if is_enhanced(self.file.dataset) else ()
        return own or texts_of(self.file.dataset, "ImageType")

    @property
    def localiser(self) -> bool:
        """Whether Image Type says so."""
        return LOCALISER in self.image_type


@dataclass(frozen=True)
class Trait:
    """One thing that can differ between stacks."""

    name: str
    """Put before its values, as "echo time"; empty where the values speak for themselves."""
    value: Callable[[UndecodedPlane], Value]
    unit: str = ""
    absolute: float = 0.0
    """Numbers nearer than this are one value."""
    relative: float = 0.0

    spoken: Callable[[Any], str] | None = None
    """Names one of its values; None: name, value and unit do."""
    numbered: bool = False
    """Whether its values are no words: they are called by their number."""
    clock: bool = False
    """Whether it may grow from plane to plane: planes of one place are phases in its order."""

    def words(self, value: Value) -> str:
        """Name one of its values."""
        if value is None or value == ():
            return f"no {self.name}"
        if self.spoken is not None:
            return self.spoken(value)
        parts = [value] if isinstance(value, str) else [p if isinstance(p, str) else f"{p:g}" for p in value]
        joined = (" x " if self.unit else "\\").join(parts)
        return " ".join(word for word in (self.name, joined, self.unit) if word)


def _number(*keywords: str) -> Callable[[UndecodedPlane], Value]:
    """Return a reader of the first of these elements that a plane has as a number."""

    def read(plane: UndecodedPlane) -> Value:
        numbers = (plane.hint(keyword) for keyword in keywords)
        return next(((number,) for number in numbers if number is not None), None)

    return read


def _words(keyword: str) -> Callable[[UndecodedPlane], Value]:
    return lambda plane: plane.texts(keyword) if any(plane.texts(keyword)) else None


def _text(keyword: str) -> Callable[[UndecodedPlane], Value]:
    return lambda plane: text_of(plane.file.dataset, keyword) or None


def _moment(keyword: str) -> Callable[[UndecodedPlane], Value]:
    return lambda plane: _known(moment_of(source_of(plane.file.dataset, plane.index, keyword), keyword))


def _time(date: str, time: str) -> Callable[[UndecodedPlane], Value]:
    return lambda plane: _known(time_of(plane.file.dataset, date, time))


def _known(number: float | None) -> Value:
    return None if number is None else (number,)


def _direction(plane: UndecodedPlane) -> Value:
    """Return the gradient direction of a diffusion image (PS3.3 C.8.13.5.9, C.8.4.14)."""
    items = value_of(source_of(plane.file.dataset, plane.index, "DiffusionGradientDirectionSequence"),
                     "DiffusionGradientDirectionSequence")  # fmt: skip
    holder = items[0] if items else plane.file.dataset
    try:
        return numbers_of(holder, "DiffusionGradientOrientation", 3)
    except UnsupportedImage:
        return None


def _laterality(plane: UndecodedPlane) -> Value:
    from_frame = [word for word in plane.texts("FrameLaterality") if word]
    return (from_frame or [text_of(plane.file.dataset, "ImageLaterality").upper()])[0] or None


def _beside(plane: UndecodedPlane) -> Value:
    """Return the part of the position that lies in the plane: where a parallel stack is moved to."""
    if plane.frame.position_mm is None or plane.frame.orientation is None:
        return None
    along_row, along_column = np.array(plane.frame.orientation).reshape(2, 3)
    return tuple(float(np.dot(plane.frame.position_mm, axis)) for axis in (along_row, along_column))


ALWAYS = (
    Trait("", lambda plane: plane.file.sop_class_uid, spoken=lambda value: UID(value).name),
    Trait("", lambda plane: "localiser" if plane.localiser else "image"),
    Trait("", lambda plane: "colour" if plane.layout.colour else plane.layout.photometric),
    Trait("", lambda plane: (float(plane.layout.rows), float(plane.layout.columns)), "pixels"),
    Trait("frame of reference", _text("FrameOfReferenceUID"), numbered=True),
    Trait("orientation", lambda plane: plane.frame.orientation, absolute=0.02, spoken=plane_of),
    Trait("pixel spacing", lambda plane: plane.frame.pixel_spacing_mm, "mm", relative=0.01),
    Trait("laterality", _laterality),
    Trait("image type", lambda plane: tuple(sorted(MAPS & set(plane.image_type[2:])))),
    Trait("complex component", _words("ComplexImageComponent")),
)
"""Planes that differ in one of these are never one stack."""

OF_FEW_VALUES = (
    Trait("echo time", _number("EffectiveEchoTime", "EchoTime"), "ms", relative=0.02),
    Trait("b-value", _number("DiffusionBValue"), "", absolute=0.5),
    Trait("inversion time", _number("InversionTimes", "InversionTime"), "ms", relative=0.02),
)
"""Planes that differ in one of these are several stacks where it takes few values, each on several planes."""

AT_ONE_PLACE = (
    Trait("image type", lambda plane: plane.image_type or None),
    *OF_FEW_VALUES,
    Trait("echo number", _number("EchoNumbers")),
    Trait("gradient direction", _direction, absolute=1e-3),
    Trait("temporal position", _number("TemporalPositionIndex", "TemporalPositionIdentifier")),
    Trait("cardiac phase", _number("NominalPercentageOfCardiacPhase"), "%"),
    Trait("respiratory phase", _number("NominalPercentageOfRespiratoryPhase"), "%"),
    Trait("flip angle", _number("FlipAngle"), "degrees", absolute=0.05),
    Trait("repetition time", _number("RepetitionTime"), "ms", relative=0.01),
    Trait("kernel", _words("ConvolutionKernel")),
    Trait("tube voltage", _number("KVP"), "kV"),
    Trait("stack", _words("StackID")),
    Trait("slice thickness", _number("SliceThickness"), "mm", absolute=0.01),
    Trait("in-plane position", _beside, "mm", absolute=0.05),
)
"""What tells planes at one and the same place apart, the likeliest first."""

CLOCKS = (
    Trait(
        "trigger time",
        _number("NominalCardiacTriggerDelayTime", "ActualCardiacTriggerDelayTime", "TriggerTime"),
        "ms",
        absolute=0.05,
        clock=True,
    ),
    Trait(
        "respiratory trigger time",
        _number("NominalRespiratoryTriggerDelayTime", "ActualRespiratoryTriggerDelayTime"),
        "ms",
        absolute=0.05,
        clock=True,
    ),
    Trait("temporal offset", _number("TemporalPositionTimeOffset"), "s", absolute=1e-3, clock=True),
    Trait("frame reference time", _number("FrameReferenceTime"), "ms", clock=True),
    Trait("acquisition", _number("FrameAcquisitionNumber", "AcquisitionNumber"), clock=True),
    Trait("acquisition time", _moment("FrameAcquisitionDateTime"), numbered=True, clock=True),
    Trait("reference time", _moment("FrameReferenceDateTime"), numbered=True, clock=True),
    Trait("acquisition time", _moment("AcquisitionDateTime"), numbered=True, clock=True),
    Trait("acquisition time", _time("AcquisitionDate", "AcquisitionTime"), numbered=True, clock=True),
    Trait("content time", _time("ContentDate", "ContentTime"), numbered=True, clock=True),
)
"""What tells phases at one and the same place apart, though it may differ from place to place as well."""


def dimensions_of(planes: Sequence[UndecodedPlane]) -> tuple[Trait, ...]:
    """Return a trait for each dimension of an enhanced object (Dimension Index Values, PS3.3 C.7.6.17)."""
    counts = {len(plane.texts("DimensionIndexValues")) for plane in planes}
    if len(counts) != 1:
        return ()
    pointers = value_of(planes[0].file.dataset, "DimensionIndexSequence") or ()
    return tuple(Trait(_dimension_name(pointers, number), _dimension(number)) for number in range(counts.pop()))


def _dimension_name(pointers: Sequence[Dataset], number: int) -> str:
    """Return what a dimension counts, as "temporal position index", or its number where that is not public."""
    pointer = value_of(pointers[number], "DimensionIndexPointer") if number < len(pointers) else None
    try:
        name = dictionary_description(pointer).lower()
    except (KeyError, TypeError, ValueError):
        return f"dimension {number + 1}:"
    return name if name.endswith("index") else f"{name} index"


def _dimension(number: int) -> Callable[[UndecodedPlane], Value]:
    def read(plane: UndecodedPlane) -> Value:
        index = plane.texts("DimensionIndexValues")[number]
        return (float(index),) if index.isdecimal() else None

    return read
