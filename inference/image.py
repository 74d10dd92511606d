"""One series as numbers: display pixels, geometry, and the way back to every source pixel."""

from dataclasses import dataclass
from pathlib import Path

from inference.archive import Floats


@dataclass(frozen=True)
class Frame:
    """One plane of a series: where its pixels came from and where they lie (PS3.3 C.7.6.2)."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    frame_number: int
    """1-based; 1 for a single-frame instance."""
    instance_number: int | None
    position_mm: tuple[float, float, float] | None
    """Image Position (Patient), the centre of the first pixel."""
    orientation: tuple[float, float, float, float, float, float] | None
    """Image Orientation (Patient): direction cosines of a row, then of a column."""
    pixel_spacing_mm: tuple[float, float] | None
    """Between rows, between columns."""


@dataclass(frozen=True)
class Image:
    """One series, sorted by geometry, in its own pixel grid."""

    patient_key: str
    """PatientID as it stands in the files: never logged, never shown outside DICOM objects."""
    study_instance_uid: str
    series_instance_uid: str
    frame_of_reference_uid: str | None
    modality: str
    body_part: str
    """Body Part Examined, upper case; empty where absent."""
    plane: str
    """axial, coronal, sagittal, oblique, or empty where the orientation is absent."""
    description: str
    """Series Description and Protocol Name, joined."""
    frames: tuple[Frame, ...]
    pixels: Floats
    """(frames, rows, columns), 0 black to 1 white, after Modality LUT, VOI LUT or window, and MONOCHROME1 inversion."""
    digest: str
    """SHA-256 over the sorted (SOP Instance UID, SHA-256 of the file) pairs."""
