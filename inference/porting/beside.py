"""What a network gets and gives here, beside what it gets and gives in MONAI's own pipeline.

MONAI's side is its own reader, Compose and network, built from the configuration as the interpreter of
``inference.bundle.dialect`` has vetted and resolved it; neither ``ConfigParser`` nor ``eval`` runs.
"""

import logging
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor, NumpyReader, PydicomReader
from monai.data.image_reader import ImageReader
from monai.transforms import LoadImage, LoadImaged, Transform
from numpy.typing import NDArray

from inference.bundle.bundle import Bundle, first_output
from inference.bundle.dialect.preprocessing import ReadByNode
from inference.bundle.script.network import ScriptedModule
from inference.errors import DAMAGE
from inference.porting.trial import reason_of
from inference.prepare import ModelInput
from inference.reading.image import Image

INPUT_TOLERANCE, LOGIT_TOLERANCE = 1e-5, 1e-4
"""Largest differences that are rounding: of the input, for values up to 1; of the logits."""
MOST_PLANES = 3
"""Planes of a stack that are compared."""


@dataclass(frozen=True)
class Compared:
    """The largest differences, and what they come from where that is plain."""

    reader: str
    """MONAI's reader, by name; of what, where it does not read the DICOM files."""
    network: str
    """network, or what stands for MONAI's own."""
    input_difference: float
    input_scale: float
    """Largest absolute value of MONAI's input; 1 where it is smaller."""
    logit_difference: float
    hint: str

    @property
    def is_same(self) -> bool:
        """Whether both differences are rounding."""
        return self.input_difference <= INPUT_TOLERANCE * self.input_scale and self.logit_difference <= LOGIT_TOLERANCE

    @property
    def sentence(self) -> str:
        """Return the differences in words."""
        text = (
            f"input tensor differs by at most {self.input_difference:.2g} (values up to {self.input_scale:.3g}), "
            f"logits by at most {self.logit_difference:.2g} from MONAI's own {self.reader}, Compose and {self.network}"
        )
        return f"{text}. {self.hint}" if self.hint else f"{text}."


class NotComparable(ValueError):
    """MONAI's own pipeline gives nothing to compare with; says why."""


def beside_monai(bundle: Bundle, image: Image, given: ModelInput) -> Compared:
    """Compare what the node prepared from a stack with MONAI's own pipeline on the same files.

    Args:
        bundle: sealed or not.
        image: the stack, read from files.
        given: what ``prepare`` made of it.

    Raises:
        NotComparable: the manifest asks for another input than MONAI's, or MONAI does not read these files.
    """
    check_comparable(bundle)
    own, reader, positions = _own_inputs(bundle, image)
    return compared(bundle, own, given.tensor[positions], reader)


def check_comparable(bundle: Bundle) -> None:
    """Look whether MONAI's own readers could give what a bundle takes.

    Raises:
        NotComparable: the manifest asks for another input than theirs.
    """
    entry = bundle.manifest.input
    for key, plain in (("values", "modality"), ("layout", "monai"), ("statistics", "plane")):
        if getattr(entry, key) != plain:
            raise NotComparable(f"The manifest says {key} = {getattr(entry, key)!r}: MONAI's own reader gives another.")


def compared(bundle: Bundle, own: torch.Tensor, mine: torch.Tensor, reader: str) -> Compared:
    """Compare MONAI's input with ours, both (samples, C, *spatial), and what the network makes of them.

    Raises:
        NotComparable: they have different shapes.
    """
    if own.shape != mine.shape:
        raise NotComparable(
            f"MONAI's own {reader} gives an input of shape {tuple(own.shape[1:])}, here it is {tuple(mine.shape[1:])}."
        )
    ours, name = bundle.primary().module, "network"
    if isinstance(ours, ScriptedModule) or bundle.manifest.primary.members or bundle.manifest.activation == "ordinal":
        theirs, name = ours, "the bundle's network on both sides"
    else:
        theirs = bundle.configuration.network(bundle.manifest.primary.network).eval()
        theirs.load_state_dict(ours.state_dict())
    with torch.inference_mode():
        difference = float((first_output(theirs(own)) - ours(mine)).abs().max())
    return Compared(
        reader=reader,
        network=name,
        input_difference=float((own - mine).abs().max()),
        input_scale=max(1.0, float(own.abs().max())),
        logit_difference=difference,
        hint=_hint(mine, own),
    )


def _hint(mine: torch.Tensor, own: torch.Tensor) -> str:
    """Say by which plain change the one input becomes the other; empty where they are equal, or by none."""
    limit = INPUT_TOLERANCE * max(1.0, float(own.abs().max()))

    def same(changed: torch.Tensor) -> bool:
        return changed.shape == own.shape and float((changed - own).abs().max()) <= limit

    if same(mine):
        return ""
    changes = {
        "Rows and columns are exchanged.": mine.transpose(-1, -2),
        "The channels are in the opposite order.": mine.flip(1),
        **{f"Axis {axis - 2} runs the other way.": mine.flip(axis) for axis in range(2, mine.ndim)},
    }
    return next((words for words, changed in changes.items() if same(changed)), "")


def _own_inputs(bundle: Bundle, image: Image) -> tuple[torch.Tensor, str, list[int]]:
    """Return MONAI's input, (samples, C, *spatial), the reader's name, and which samples of ours these are."""
    stacks, entry = (image, *image.further), bundle.manifest.input
    if any(frame.frame_number > 1 for stack in stacks for frame in stack.frames):
        raise NotComparable("MONAI's PydicomReader reads single-frame files alone.")
    is_volume, positions = bundle.manifest.kind == "volume", positions_compared(bundle, image)
    with TemporaryDirectory() as folder:
        if is_volume:
            given = [[_one_folder(stack, Path(folder) / str(number)) for number, stack in enumerate(stacks)]]
        else:
            given = [_files(stacks, position, entry.neighbours) for position in positions]
        is_plain = image.colour or is_volume or len(given[0]) > 1
        try:
            reader = PydicomReader(channel_dim=-1 if image.colour else None)  # it cannot tell colour by itself
            own = torch.stack([own_input(bundle, sources, reader) for sources in given])
            if own.shape[1] == entry.channel_count:
                return own, "PydicomReader", positions
        except NotComparable:
            if is_plain or entry.channel_count != 3:
                raise
        if is_plain or entry.channel_count != 3:
            raise NotComparable(
                f"MONAI's own input has {own.shape[1]} channels; the network takes {entry.channel_count}."
            )
        pictures = [_as_rgb(image.values[position], Path(folder) / f"{position}.npy") for position in positions]
        own = torch.stack([own_input(bundle, [picture], NumpyReader(channel_dim=-1)) for picture in pictures])
        return own, "NumpyReader (the grey image as RGB)", positions


def positions_compared(bundle: Bundle, image: Image) -> list[int]:
    """Return which samples of the input are compared: of a volume its one, else the first, middle and last plane."""
    count = len(image.frames)
    return [0] if bundle.manifest.kind == "volume" else sorted({0, count // 2, count - 1})[:MOST_PLANES]


def _one_folder(stack: Image, folder: Path) -> Path:
    """Copy the files of a stack into a folder that holds nothing else."""
    folder.mkdir()
    for number, frame in enumerate(stack.frames):
        shutil.copyfile(frame.path, folder / f"{number:06d}.dcm")
    return folder


def _files(stacks: Sequence[Image], position: int, neighbours: int) -> list[Path]:
    """Return the files that are the channels of one plane: of each series, or with the neighbouring planes."""
    last = len(stacks[0].frames) - 1
    if any(len(stack.frames) != last + 1 for stack in stacks):
        raise NotComparable("The series that are channels have different numbers of planes.")
    near = range(position - neighbours, position + neighbours + 1)
    return [stack.frames[min(max(place, 0), last)].path for stack in stacks for place in near]


def _as_rgb(plane: NDArray[np.float32], path: Path) -> Path:
    """Write a grey plane (rows, columns) as the array that a picture reader gives of it in RGB, (x, y, 3)."""
    np.save(path, np.repeat(plane.T[:, :, None], 3, axis=2), allow_pickle=False)
    return path


def own_input(bundle: Bundle, sources: Sequence[Path], reader: ImageReader) -> torch.Tensor:
    """Return what MONAI's own pipeline makes of files, or of folders with a series each, (C, *spatial).

    Several are channels under one key, or lie each under its own key of the dictionary.
    """

    def read(asked: ReadByNode) -> Transform:
        options = {"reader": reader, "ensure_channel_first": asked.ensure_channel_first, "image_only": True}
        options["dtype"] = asked.dtype or np.float32
        if bundle.manifest.input.neighbours:
            return _Stacked(LoadImage(**options), asked.keys)
        return LoadImaged(keys=asked.keys, **options) if asked.keys else LoadImage(**options)

    logging.getLogger("monai.data").setLevel(logging.ERROR)  # of readers that are not asked for
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the readers, about decoders and elements that are not there
            own = bundle.configuration.reading(read, bundle.manifest.configuration.preprocessing)
            result = own(_start(bundle, sources, reader))
    except DAMAGE as error:
        raise NotComparable(f"MONAI's own pipeline fails ({reason_of(error)}).") from error
    if isinstance(result, dict):
        result = result["image" if "image" in result else next(iter(own.keys))]
    return torch.as_tensor(np.asarray(result), dtype=torch.float32)


class _Stacked(Transform):
    """Reads planes each by itself, as channels of the middle one: MONAI's reader takes several of one place alone."""

    def __init__(self, load: LoadImage, keys: tuple[str, ...]) -> None:
        self._load = load
        self._keys = keys

    def __call__(self, data: Any) -> Any:
        """Return the image; of a dictionary, with the image at each key."""
        if self._keys:
            return {**data, **{key: self._read(data[key]) for key in self._keys}}
        return self._read(data)

    def _read(self, sources: Sequence[Path]) -> MetaTensor:
        planes = [self._load(source) for source in sources]
        middle = planes[len(planes) // 2]
        values = torch.cat([plane if plane.ndim == 3 else plane[None] for plane in planes])
        return MetaTensor(
            torch.as_tensor(values), affine=middle.affine, meta={**middle.meta, "original_channel_dim": 0}
        )


def _start(bundle: Bundle, sources: Sequence[Path], reader: ImageReader) -> Any:
    """Return what MONAI's transforms begin with: files, or the image where no reader is among them."""
    preprocessing = bundle.configuration.preprocessing(bundle.manifest.configuration.preprocessing)
    keys = [channel.key for channel in bundle.manifest.input.series if channel.key]
    together: Any = list(sources) if len(sources) > 1 else sources[0]
    given = dict(zip(keys, sources, strict=True)) if keys else dict.fromkeys(preprocessing.keys, together)
    if not preprocessing.readers:
        load: Any = LoadImage(reader=reader, ensure_channel_first=True, image_only=True)
        load = _Stacked(load, ()) if bundle.manifest.input.neighbours else load
        together, given = load(together), {key: load(source) for key, source in given.items()}
    return given if preprocessing.kind == "dictionary" else together
