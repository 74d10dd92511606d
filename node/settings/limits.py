"""Limits of one instance, enforced before anything is decoded."""

from typing import Annotated

from pydantic import Field

from inference.reading.decoding import DecodingLimits
from node.settings.section import Section

Count = Annotated[int, Field(ge=1)]
_BYTES_OF_A_FURTHER_ELEMENT = 32
"""So many bytes of a data set allow one element more: what is small in bytes stays small when it is read."""
_BYTES_OF_A_VALUE = 16
"""Of a study that is read: 4 as it is kept, and up to 12 of the stack that is being read."""


class Limits(Section):
    """Limits of one instance; one beyond them is answered with status 0xC000 and set aside undecoded."""

    nesting_depth: Annotated[int, Field(ge=1, le=64)] = 64
    """Maximum nesting depth of sequences; reading takes about 2 kB for each level."""
    elements: Count = 250_000
    """Elements, items and fragments of one data set; each takes about half a kB while the study is read."""
    elements_per_frame: Annotated[int, Field(ge=0)] = 128
    """Further elements for each frame of a multi-frame image; each must be paid for by 32 bytes of its data set."""
    text_bytes: Annotated[int, Field(ge=1024)] = 1 << 20
    """Longest value of text or numbers; read, it takes up to 220 times that. Bulk data (O*, UT) may be longer."""
    frames: Count = 65_536
    """Frames of one instance; each takes about half a kB beside its pixels."""
    pixel_values: Count = 1 << 29
    """Rows x columns x frames of one instance, and of one series when it is read; each takes up to 12 bytes then."""
    reading_mebibytes: Annotated[int, Field(ge=64)] = 8192
    """Memory for the pixels of one study while it is read, 16 bytes a value; what is beyond it is not analysed."""
    decoding_seconds: Annotated[float, Field(gt=0)] = 300.0
    """Timeout of decoding all compressed pixels of one study; beyond it they count as damaged."""
    decoding_mebibytes: Annotated[int, Field(ge=512)] = 4096
    """Address space of the process that decodes compressed pixels; beyond it the pixels count as damaged."""

    def most_elements(self, frames: int, size_bytes: int) -> int:
        """Return the maximum number of elements of a data set of so many frames and bytes."""
        further = min(min(frames, self.frames) * self.elements_per_frame, size_bytes // _BYTES_OF_A_FURTHER_ELEMENT)
        return self.elements + (further if frames > 1 else 0)

    @property
    def decoding(self) -> DecodingLimits:
        """Limits of the decoding process."""
        values = min(self.pixel_values, (self.reading_mebibytes << 20) // _BYTES_OF_A_VALUE)
        return DecodingLimits(values=values, seconds=self.decoding_seconds, mebibytes=self.decoding_mebibytes)


STANDARD = Limits()
"""The default limits."""
