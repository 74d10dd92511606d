"""One stack of a series as numbers: modality values, geometry, and the way back to every source pixel."""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from inference.archive import Booleans, Floats
from inference.reading.elements.acquisition import UNSTATED, Acquisition
from inference.reading.elements.window import Window
from inference.reading.instance import Frame
from inference.reading.spacing import UNKNOWN, Spacing, spacing_of


@dataclass(frozen=True, kw_only=True)
class Image:
    """One stack of one series, sorted by geometry, in its own pixel grid."""

    patient_key: str
    """PatientID as it stands in the files: never logged, never shown outside DICOM objects."""
    study_instance_uid: str
    series_instance_uid: str
    frame_of_reference_uid: str | None
    modality: str
    body_part: str
    """Body Part Examined, upper case, else the term of the Anatomic Region; empty where no place says it."""
    laterality: str = ""
    """L, R, B or U (PS3.3 10.5); empty where no place says it, or the frames differ."""
    plane: str
    """axial, coronal, sagittal, oblique, or empty where the orientation is absent."""
    description: str
    """Series Description and Protocol Name, joined."""
    acquisition: Acquisition = UNSTATED
    """How it was acquired, as the header of its first plane says."""
    stack: str = ""
    """What tells this stack from the others of its series, as "echo time 90 ms"; empty where it is the only one."""
    localiser: bool = False
    """Planes to plan others with: Image Type says LOCALIZER, or the series is a few planes in three orientations."""
    frames: tuple[Frame, ...]
    values: Floats
    """Modality values, (frames, rows, columns), padding as stored; colour: (frames, rows, columns, 3), RGB as stored.

    Not inverted where the image is MONOCHROME1; pictures are.
    """
    padded: Booleans | None = None
    """(frames, rows, columns), True where Pixel Padding says that there is no image; None: nowhere."""
    windows: tuple[Window | None, ...] = ()
    """One a frame, for pictures; empty: none."""
    inverted: tuple[bool, ...] = ()
    """One a frame: whether it is MONOCHROME1; empty: none is."""
    bits: int = 16
    """Bits Stored; of a palette, the bits of its entries."""
    spacing: Spacing = UNKNOWN
    missing: tuple[str, ...] = ()
    """Sentences: planes absent inside the stack, or received and not readable; empty: the stack is whole."""
    digest: str
    """SHA-256 over the sorted (SOP Instance UID, SHA-256 of the file) pairs; of further channels too."""
    further: tuple["Image", ...] = ()
    """Stacks of other series that a bundle takes as its second, third ... channel beside this one."""

    @property
    def colour(self) -> bool:
        """Return whether the values are red, green and blue."""
        return self.values.ndim == 4

    def filled(self) -> Floats:
        """Return the values with padding replaced by the lowest other modality value of the stack."""
        if self.padded is None:
            return self.values
        return np.where(self.padded, self.range_of_values[0], self.values)

    def display(self) -> Floats:
        """Return all frames as ``shown`` gives them, (frames, rows, columns) or (frames, rows, columns, 3)."""
        shown = np.empty_like(self.values)
        for index in range(len(self.frames)):
            shown[index] = self.shown(index)
        return shown

    def shown(self, index: int) -> Floats:
        """Return one frame for a picture: 0 black to 1 white.

        Every plane of a stack is shown with one and the same window: the planes' own VOI LUT or window (the first of
        several) where all planes share it, otherwise the range of modality values of the stack, padding left out.
        MONOCHROME1 is inverted, padding is black. Colour is scaled by its largest possible value.

        Args:
            index: of the frame, from 0.
        """
        values = self.values[index]
        if self.colour:
            return np.asarray(values / np.float32(2**self.bits - 1), dtype=np.float32)
        window = self.window
        shown = np.zeros_like(values) if window is None else window.show(values)
        if self.inverted and self.inverted[index]:
            shown = np.float32(1.0) - shown
        return shown if self.padded is None else np.where(self.padded[index], np.float32(0.0), shown)

    @cached_property
    def window(self) -> Window | None:
        """Return the one window of all planes; None where there is none and all values are alike (shown black)."""
        shared = set(self.windows)
        if len(shared) == 1 and None not in shared:
            return self.windows[0]
        low, high = self.range_of_values
        if high <= low:
            return None
        return Window(center=(low + high) / 2, width=max(high - low, 1e-6), function="LINEAR_EXACT")

    def part(self, start: int, stop: int) -> "Image":
        """Return the planes from ``start`` up to ``stop`` as an image of their own, with the spacing they have."""
        chosen = slice(start, stop)
        frames = self.frames[chosen]
        return replace(
            self,
            frames=frames,
            values=self.values[chosen],
            padded=None if self.padded is None else self.padded[chosen],
            windows=self.windows[chosen],
            inverted=self.inverted[chosen],
            spacing=spacing_of(frames),
            stack=", ".join(word for word in (self.stack, f"planes {start + 1} to {start + len(frames)}") if word),
        )

    @cached_property
    def range_of_values(self) -> tuple[float, float]:
        """Lowest and highest value, padding left out; of a stack that is all padding, those of the padding."""
        low, high = math.inf, -math.inf
        for index, values in enumerate(self.values):
            image = values if self.padded is None else values[~self.padded[index]]
            if image.size:
                low, high = min(low, float(image.min())), max(high, float(image.max()))
        return (low, high) if low <= high else (float(self.values.min()), float(self.values.max()))
