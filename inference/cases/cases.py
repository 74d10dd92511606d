"""Annotated cases: images whose findings an expert has outlined, brought to the grid of a bundle's networks.

They are read by ``labels_folder`` and ``annotated_dicom``. A case is known by a digest of
its own pixels and its annotation, so that the same picture gives the same draws and the same passport from either.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from inference.bundle.bundle import Bundle
from inference.bundle.manifest import Manifest
from inference.cases.masks import mask_on_input
from inference.errors import OutOfScope, Unsuitable
from inference.prepare import ModelInput, prepare
from inference.reading.elements.acquisition import UNSTATED, Acquisition
from inference.reading.image import Image
from inference.reading.outlines import Mask
from inference.statistics.seeds import digest_of

BLANK_SPAN = 0.08
"""A plane whose display values, 0 to 1, span less than this is blank, and is not used as a case.

Of several planes, it must span as little of the stack's own range of values: a window alone makes no plane blank."""
GREY_LEVELS = 65535
"""Display values are rounded to so many levels: the digest is the same whatever the file format."""


@dataclass(frozen=True, eq=False)
class Annotation:
    """What is known of one plane of a series, or of one volume."""

    name: str
    """The file, or SOP Instance UID and frame: how a person finds it."""
    label: str
    split: str
    mask: Mask | None = None
    """(rows, columns) of the plane as stored, or (planes, rows, columns) of a volume."""
    problem: str = ""
    """Why there is no mask though the label is a finding; empty where there is nothing to say."""


@dataclass(frozen=True, eq=False)
class AnnotatedSeries:
    """One series as the network shall see it, with one annotation a plane (None: no case), or one for a volume."""

    group: str
    """Patient, or set of images that must not be told apart: what is resampled."""
    image: Image
    annotations: tuple[Annotation | None, ...]
    is_patient: bool = True
    """Whether the group is a patient by name."""


@dataclass(frozen=True)
class Excluded:
    """What was left out, or cannot be used in full, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class AnnotatedCase:
    """One case without its arrays."""

    id: str
    """First 16 hexadecimal digits of the SHA-256 of pixels, mask and label."""
    name: str
    group: str
    label: str
    class_index: int
    plane: str
    split: str
    masked: bool
    """Whether some pixel of the input lies in a finding."""
    row: int
    """Where its arrays lie in the store."""
    stack: int = 0
    """Number of the series it came from: what a node would be given at once."""
    is_patient: bool = True
    """As of the series."""
    acquisition: Acquisition = UNSTATED
    """As of the series."""


@dataclass(frozen=True, eq=False)
class Cases:
    """Every case, ordered by split, group and id, with arrays that stay on disk."""

    entries: tuple[AnnotatedCase, ...]
    inputs: "np.memmap[Any, np.dtype[np.float32]]"
    """(rows, channels, *spatial), by ``AnnotatedCase.row``."""
    masks: "np.memmap[Any, np.dtype[np.bool_]]"
    """(rows, *spatial), by ``AnnotatedCase.row``; all false where the case has none."""
    excluded: tuple[Excluded, ...]
    blank: int
    """Planes left out because they show nothing."""
    digest: str
    """SHA-256 over every case: group, split, label, and the digests of pixels and mask."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Let another process open the same files instead of receiving what is in them."""
        files = [(str(array.filename), array.shape) for array in (self.inputs, self.masks)]
        return _opened, (self.entries, *files, self.excluded, self.blank, self.digest)

    def of(self, split: str) -> tuple[int, ...]:
        """Return the positions in ``entries`` of one split."""
        return tuple(at for at, case in enumerate(self.entries) if case.split == split)

    def input_of(self, position: int) -> NDArray[np.float32]:
        """Return one input, (channels, *spatial)."""
        return np.array(self.inputs[self.entries[position].row])

    def inputs_of(self, positions: Sequence[int]) -> NDArray[np.float32]:
        """Return some inputs, (N, channels, *spatial)."""
        return np.array(self.inputs[[self.entries[at].row for at in positions]])

    def masks_of(self, positions: Sequence[int]) -> Mask:
        """Return some masks, (N, *spatial)."""
        return np.array(self.masks[[self.entries[at].row for at in positions]])


def class_of(label: str, manifest: Manifest) -> int | None:
    """Return the class a label means: of the same name, or the only one whose name begins with it; None: no such class.

    Case does not matter, nor do blanks and underscores.
    """
    plain = [_plain(entry.name) for entry in manifest.classes]
    name_sought = _plain(label)
    if name_sought in plain:
        return plain.index(name_sought)
    beginning = [index for index, name in enumerate(plain) if name_sought and name.startswith(name_sought)]
    return beginning[0] if len(beginning) == 1 else None


def gather(
    bundle: Bundle,
    sources: Iterable[AnnotatedSeries | Excluded],
    folder: Path,
    *,
    progress: Callable[[int], None] | None = None,
) -> Cases:
    """Prepare every series as the node does, and lay inputs and masks down in files: memory holds one series at a time.

    Args:
        bundle: whose preprocessing and classes they are brought to.
        sources: series with their annotations, and what the reader could not use.
        folder: for ``inputs.raw`` and ``masks.raw``; what lies there is replaced.
        progress: told how many cases there are so far.

    Raises:
        Unsuitable: there is no case.
    """
    folder.mkdir(parents=True, exist_ok=True)
    excluded: list[Excluded] = []
    with (folder / "inputs.raw").open("wb") as inputs, (folder / "masks.raw").open("wb") as masks:
        pile = _Pile(bundle, inputs, masks)
        for series in sources:
            if isinstance(series, Excluded):
                excluded.append(series)
            else:
                excluded += pile.add(series)
            if progress is not None:
                progress(len(pile.entries))
    if not pile.entries:
        raise Unsuitable("No case can be used for commissioning.", cure=_first(excluded))
    spatial = bundle.manifest.input.spatial_size
    count = len(pile.entries)
    shape = (count, bundle.manifest.input.channel_count, *spatial)
    order = sorted(pile.entries, key=lambda case: (case.split, case.group, case.id))
    return _opened(
        tuple(order),
        (str(folder / "inputs.raw"), shape),
        (str(folder / "masks.raw"), (count, *spatial)),
        tuple(sorted(excluded, key=lambda entry: (entry.name, entry.reason))),
        pile.blank,
        digest_of(sorted(pile.lines)),
    )


def _opened(
    entries: tuple[AnnotatedCase, ...],
    inputs: tuple[str, tuple[int, ...]],
    masks: tuple[str, tuple[int, ...]],
    excluded: tuple[Excluded, ...],
    blank: int,
    digest: str,
) -> Cases:
    pixels = np.memmap(inputs[0], dtype=np.float32, mode="r", shape=inputs[1])
    outlines = np.memmap(masks[0], dtype=np.bool_, mode="r", shape=masks[1])
    return Cases(entries, pixels, outlines, excluded, blank, digest)


class _Pile:
    """Cases as they come, each written once."""

    def __init__(self, bundle: Bundle, inputs: BinaryIO, masks: BinaryIO) -> None:
        self._bundle, self._inputs, self._masks = bundle, inputs, masks
        self.entries: list[AnnotatedCase] = []
        self.lines: list[str] = []
        self.blank = 0
        self.stacks = 0

    def add(self, series: AnnotatedSeries) -> list[Excluded]:
        """Write every case of a series, and say what cannot be used."""
        try:
            model_input = prepare(self._bundle, series.image)
        except OutOfScope as error:
            return [
                Excluded(annotation.name, str(error)) for annotation in series.annotations if annotation is not None
            ]
        self.stacks += 1
        said: list[Excluded] = []
        shown = _levelled(series.image.display())
        for position, annotation in enumerate(series.annotations):
            if annotation is None:
                continue
            pixels = shown if model_input.is_volume else shown[position]
            if float(np.ptp(pixels)) < BLANK_SPAN and _shows_little(series.image, model_input, position):
                self.blank += 1
                continue
            said += self._add(series, annotation, pixels, model_input, position)
        return said

    def _add(
        self,
        series: AnnotatedSeries,
        annotation: Annotation,
        pixels: NDArray[np.float32],
        model_input: ModelInput,
        position: int,
    ) -> list[Excluded]:
        kind = class_of(annotation.label, self._bundle.manifest)
        if kind is None:
            names = ", ".join(entry.name for entry in self._bundle.manifest.classes)
            return [Excluded(annotation.name, f"label {annotation.label!r} is none of the bundle's classes ({names})")]
        finding = self._bundle.manifest.classes[kind].finding
        grid = pixels.shape[: 3 if model_input.is_volume else 2]
        stored = annotation.mask if finding and annotation.mask is not None else np.zeros(grid, np.bool_)
        if stored.shape != grid:
            return [Excluded(annotation.name, f"mask of {stored.shape} for an image of {grid}")]
        mask = mask_on_input(model_input, stored, position)
        said = [Excluded(annotation.name, annotation.problem)] if annotation.problem else []
        if finding and stored.any() and not mask.any():
            said.append(Excluded(annotation.name, "the finding is lost on the network's grid: no localisation"))
        elif finding and not stored.any() and not annotation.problem:
            said.append(Excluded(annotation.name, "no mask and no box for this finding: no localisation"))
        picture = hashlib.sha256(np.round(pixels * GREY_LEVELS).astype("<u2").tobytes()).hexdigest()
        outline = hashlib.sha256(np.packbits(stored).tobytes()).hexdigest()
        label = self._bundle.manifest.classes[kind].name
        self.lines.append(f"{annotation.split}\t{series.group}\t{label}\t{picture}\t{outline}")
        case = AnnotatedCase(
            id=digest_of((picture, outline, label))[:16],
            name=annotation.name,
            group=series.group,
            label=label,
            class_index=kind,
            plane=series.image.plane,
            split=annotation.split,
            masked=bool(mask.any()),
            row=len(self.entries),
            stack=self.stacks,
            is_patient=series.is_patient,
            acquisition=series.image.acquisition,
        )
        self._inputs.write(model_input.tensor[position].numpy().tobytes())
        self._masks.write(mask.tobytes())
        self.entries.append(case)
        return said


def _shows_little(image: Image, model_input: ModelInput, position: int) -> bool:
    low, high = image.range_of_values
    if model_input.is_volume or len(image.frames) == 1 or high <= low:
        return True
    return float(np.ptp(image.filled()[position])) < BLANK_SPAN * (high - low)


def _levelled(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round to ``GREY_LEVELS``, so that floating-point error does not change the digest of a picture."""
    return (np.round(pixels.astype(np.float64) * GREY_LEVELS) / GREY_LEVELS).astype(np.float32)


def _plain(name: str) -> str:
    return name.casefold().replace("_", " ").strip()


def _first(excluded: Sequence[Excluded]) -> str:
    return f"The first of {len(excluded)} left out: {excluded[0].name}: {excluded[0].reason}." if excluded else ""
