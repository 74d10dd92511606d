"""One explained plane: a map, its trust, and the source image below it; what every picture and object is made from."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset

from inference.analysis import Analysis
from inference.archive import Floats
from inference.errors import DAMAGE, UnreadableInstance
from inference.reading.image import Image
from inference.reading.instance import Frame
from inference.saliency.engine.maps import SaliencyMap
from inference.trust.verdict import Trust

LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Of red, green and blue (ITU-R BT.601), as in YBR_FULL (PS3.3 C.7.6.3.1.2)."""
_AXES = (("L", "R"), ("P", "A"), ("H", "F"))


@dataclass(frozen=True, eq=False)
class Plane:
    """One plane of a series."""

    frame: Frame
    pixels: Floats
    """(rows, columns), 0 black to 1 white, by the image's window; the luminance of a colour image."""
    number: int
    """In order of geometry, from 1."""
    count: int
    """Planes of the series."""
    is_whole_instance: bool
    """Whether its instance has no other frame."""
    orientation: tuple[str, str] | None
    """The patient's direction along a row and down a column; None: unknown."""

    @property
    def title(self) -> str:
        """Such as ``plane 12 of 24 (image 14)``: the number that viewers show stands in brackets where it differs."""
        if self.count == 1:
            return "single image"
        behind = f" ({self.shown_number})" if self.shown_number else ""
        return f"plane {self.number} of {self.count}{behind}"

    @property
    def shown_number(self) -> str:
        """Such as ``image 14``: what viewers call it; empty where that is its number, unknown, or of a single image."""
        known = self.frame.instance_number if self.is_whole_instance else self.frame.frame_number
        kind = "image" if self.is_whole_instance else "frame"
        return "" if self.count == 1 or known in (None, self.number) else f"{kind} {known}"


@dataclass(frozen=True, eq=False)
class ExplainedPlane:
    """One explanation of an analysis and the plane that it is shown on."""

    analysis: Analysis
    """The whole: series, bundle, settings and device."""
    index: int
    """Of ``analysis.explanations``, from 0."""
    plane: Plane
    map: SaliencyMap
    trust: Trust
    source: Dataset
    """Header of the plane's instance."""

    @property
    def class_probability(self) -> float | None:
        """The probability, calibrated at this site, that the class of the finding is right; None: not calibrated."""
        return self.analysis.statement.class_probability(self.map.finding)

    @classmethod
    def of(cls, analysis: Analysis, index: int) -> "ExplainedPlane":
        """Read the source instance of one explanation again.

        Raises:
            UnreadableInstance: the file is gone or no longer DICOM.
        """
        explanation = analysis.explanations[index]
        source = read_header(analysis.image.frames[explanation.map.frame].path)
        plane = plane_of(analysis.image, explanation.map.frame, source)
        return cls(analysis, index, plane, explanation.map, explanation.trust, source)


def plane_of(image: Image, index: int, source: Dataset) -> Plane:
    """Return one plane of a series.

    Args:
        image: the series.
        index: of the plane, from 0.
        source: header of its instance.
    """
    frame = image.frames[index]
    return Plane(
        frame,
        _grey(image.shown(index)),
        index + 1,
        len(image.frames),
        sum(other.sop_instance_uid == frame.sop_instance_uid for other in image.frames) == 1,
        orientation(frame.orientation, source),
    )


def _grey(shown: Floats) -> Floats:
    return shown if shown.ndim == 2 else np.asarray(shown @ LUMINANCE, dtype=np.float32)


def explained_planes(analysis: Analysis) -> tuple[ExplainedPlane, ...]:
    """Return every explanation of an analysis with its plane.

    Raises:
        UnreadableInstance: a source file is gone or no longer DICOM.
    """
    return tuple(ExplainedPlane.of(analysis, index) for index in range(len(analysis.explanations)))


def read_header(path: Path) -> Dataset:
    """Read everything before the pixels.

    Raises:
        UnreadableInstance: the file is not DICOM or is gone.
    """
    try:
        return dcmread(path, stop_before_pixels=True)
    except DAMAGE as error:
        raise UnreadableInstance("A source instance cannot be read again.", cure="Send the study again.") from error


def orientation(cosines: tuple[float, ...] | None, source: Dataset) -> tuple[str, str] | None:
    """Return the patient's direction along a row and down a column, such as ("L", "P") (PS3.3 C.7.6.1.1.1).

    From the direction cosines, or else from the source's Patient Orientation; None where neither is there.
    """
    if cosines is not None:
        return _direction(cosines[:3]), _direction(cosines[3:])
    written = [str(part) for part in source.get("PatientOrientation") or []]
    if len(written) == 2 and all(re.fullmatch(r"[APRLHF]{1,3}", part) for part in written):
        return written[0], written[1]
    return None


def _direction(cosines: tuple[float, ...]) -> str:
    named = [(abs(cosine), pair[0] if cosine >= 0 else pair[1]) for cosine, pair in zip(cosines, _AXES, strict=True)]
    return "".join(letter for size, letter in sorted(named, reverse=True) if size > 0.3)
