"""``[input]`` of a bundle's manifest: what the bundle accepts, and the form in which its networks take it."""

from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

GREY_AS_RGB: Literal["grey as RGB"] = "grey as RGB"


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path:
        raise ValueError("must be a path inside the bundle")
    return path


def _rising(edges: tuple[float, float]) -> tuple[float, float]:
    if edges[0] > edges[1]:
        raise ValueError(f"must be the lowest, then the highest, not [{edges[0]:g}, {edges[1]:g}]")
    return edges


Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
InnerPath = Annotated[str, AfterValidator(_inside)]
Plane = Literal["axial", "coronal", "sagittal", "oblique", ""]
Size = Annotated[int, Field(ge=1, le=4096)]
Milliseconds = Annotated[float, Field(ge=0)]
RangeOfTimes = Annotated[tuple[Milliseconds, Milliseconds], AfterValidator(_rising)]
"""The lowest and the highest, both included."""


class Part(BaseModel):
    """A table of the file: frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ChannelEntry(Part):
    """One channel of several series: which series of the study it is."""

    name: Text
    """As a sentence names it: "T1 post contrast"."""
    key: Text | None = None
    """Key of the preprocessing's dictionary; left out: the channels lie under one key, as several files of a reader."""
    description_contains: tuple[Text, ...] = ()
    """Words one of which must stand in Series Description or Protocol Name; empty: no check."""
    description_lacks: tuple[Text, ...] = ()
    """Words none of which may stand there."""
    stack_contains: tuple[Text, ...] = ()
    """Words one of which must stand in what tells a stack from the others of its series; empty: no check."""


class SequenceEntry(Part):
    """The MR sequence that the bundle takes; what a header does not say is no objection."""

    inversion_recovery: bool | None = None
    """true: takes inversion recoveries alone (FLAIR, STIR, MPRAGE); false: none of them; left out: no check."""
    contrast_agent: bool | None = None
    """true: no series whose header says that there was none; false: none that names one; left out: no check."""
    echo_time_ms: RangeOfTimes | None = None
    """Lowest and highest Echo Time (0018,0081); left out: no check."""
    repetition_time_ms: RangeOfTimes | None = None
    """Lowest and highest Repetition Time (0018,0080); left out: no check."""
    inversion_time_ms: RangeOfTimes | None = None
    """Lowest and highest Inversion Time (0018,0082) of a series that has one; left out: no check."""


class InputEntry(Part):
    """What the bundle accepts, and the form in which its networks take it."""

    modality: Annotated[tuple[Text, ...], Field(min_length=1)]
    """Modality (0008,0060), one of these."""
    body_part: tuple[str, ...] = ()
    """Body Part Examined, upper case; "" accepts images without the attribute; empty: no check."""
    plane: tuple[Plane, ...] = ()
    """"" accepts images without an orientation; empty: no check."""
    channels: Annotated[int, Field(ge=1, le=16)] | Annotated[tuple[ChannelEntry, ...], Field(min_length=2)] = 1
    """Of the networks' input, as the preprocessing gives them: how many; or ``[[input.channels]]``, a table for each
    series that is a channel, the one that findings are shown on first. The others are resampled to it."""
    spatial_size: tuple[Size, Size] | tuple[Size, Size, Size]
    """Of the network's input, in the axes of ``layout``."""
    minimum_frames: Annotated[int, Field(ge=1)] = 1
    """Fewest planes of a stack."""
    maximum_frames: Annotated[int, Field(ge=1)] | None = None
    """Most planes of a stack."""
    description_contains: tuple[Text, ...] = ()
    """Words one of which must stand in Series Description or Protocol Name; empty: no check."""
    stack_contains: tuple[Text, ...] = ()
    """Words one of which must stand in what tells a stack from the others of its series ("b-value 1000"), where there
    are several; empty: every stack."""
    sequence: SequenceEntry | None = None
    """The MR sequence it takes, where the header says which it is; left out: no check."""
    values: Literal["modality", "display", "picture"] = "modality"
    """modality: as the Modality LUT gives them (HU for CT); display: 0 black to 1 white by window or VOI LUT; picture:
    the same as whole numbers from 0 to 255, as a network saw them that was trained on PNG or JPEG files."""
    padding: Literal["lowest", "as stored"] = "lowest"
    """lowest: padding pixels get the lowest other value of the stack (black in display values)."""
    statistics: Literal["plane", "series"] = "plane"
    """Kinds slices and projection: whether the preprocessing sees one plane, or all planes of the stack as channels."""
    layout: Literal["monai", "rows"] = "monai"
    """monai: axes x, y (and z) with the affine of MONAI's PydicomReader; rows: (planes,) rows, columns, laid out as on
    a light box with the spacing alone."""
    colour: bool | Literal["grey as RGB"] = False
    """true: takes images in colour, as red, green and blue; false: takes grey images; "grey as RGB": takes grey images,
    and its networks see them three times, as a picture file converted to RGB has them."""
    neighbours: Annotated[int, Field(ge=0, le=7)] = 0
    """Kind slices: so many planes on either side of each are channels before and after its own, from one side to the
    other along the normal (towards the left, back or head); at the ends of the stack the last plane is repeated."""
    partly_read: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Largest share of planes that may be missing inside a stack; None: any for slices and projection, 0 for a
    volume."""

    @property
    def channel_count(self) -> int:
        """Return the number of channels of the networks' input."""
        return self.channels if isinstance(self.channels, int) else len(self.channels)

    @property
    def series(self) -> tuple[ChannelEntry, ...]:
        """Return the rule of each series that is a channel; empty: there is one series."""
        return () if isinstance(self.channels, int) else self.channels

    @model_validator(mode="after")
    def _channels_have_one_source(self) -> Self:
        names, keys = [entry.name for entry in self.series], [entry.key for entry in self.series if entry.key]
        if len(set(names)) < len(names) or len(set(keys)) < len(keys) or len(keys) not in (0, len(names)):
            raise ValueError("channels must have different names, and different keys or none")
        if (self.colour is not False) + bool(self.series) + (self.neighbours > 0) > 1:
            raise ValueError("colour, [[input.channels]] and neighbours exclude each other")
        if self.sequence is not None and self.series:
            raise ValueError("sequence is of one series: with [[input.channels]] the description says which is which")
        if self.statistics == "series" and (self.colour is True or self.series or self.neighbours):
            raise ValueError("statistics = 'series' needs one grey image a plane")
        if self.colour is not False and self.channel_count != 3:
            raise ValueError("colour needs channels = 3")
        if self.neighbours and self.channel_count != 2 * self.neighbours + 1:
            raise ValueError(f"neighbours = {self.neighbours} needs channels = {2 * self.neighbours + 1}")
        return self

    def check_kind(self, kind: str) -> None:
        """Check what only some kinds of bundle can have.

        Raises:
            ValueError: it is of another kind.
        """
        if self.colour is True and kind == "volume":
            raise ValueError("input.colour = true needs two dimensions")
        if self.neighbours and kind != "slices":
            raise ValueError("input.neighbours needs kind = 'slices'")
        if self.series and kind == "projection":
            raise ValueError("[[input.channels]] needs kind = 'slices' or 'volume'")
