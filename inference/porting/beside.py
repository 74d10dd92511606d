"""What a network gets and gives here, beside what it gets and gives in MONAI's own pipeline.

MONAI's side is its own reader, Compose and network, built from the configuration as the interpreter of
``inference.bundle.dialect`` has vetted and resolved it; neither ``ConfigParser`` nor ``eval`` runs.
"""

import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from monai.data import NumpyReader, PydicomReader
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
            f"logits by at most {self.logit_difference:.2g} from MONAI's own {self.reader}, Compose and network"
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
    entry = bundle.manifest.input
    for key, plain in (("values", "modality"), ("layout", "monai"), ("statistics", "plane")):
        if getattr(entry, key) != plain:
            raise NotComparable(f"The manifest says {key} = {getattr(entry, key)!r}: MONAI's own reader gives another.")
    own, reader, positions = _own_inputs(bundle, image)
    mine = given.tensor[positions]
    if own.shape != mine.shape:
        raise NotComparable(f"MONAI's own input has the shape {tuple(own.shape[1:])}, here {tuple(mine.shape[1:])}.")
    network = bundle.primary().module
    if not isinstance(network, ScriptedModule):
        network = bundle.configuration.network(bundle.manifest.primary.network).eval()
        network.load_state_dict(bundle.primary().module.state_dict())
    with torch.inference_mode():
        theirs, ours = first_output(network(own)), bundle.primary().module(mine)
    return Compared(
        reader=reader,
        input_difference=float((own - mine).abs().max()),
        input_scale=max(1.0, float(own.abs().max())),
        logit_difference=float((theirs - ours).abs().max()),
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
    paths = [frame.path for frame in image.frames]
    if len(set(paths)) < len(paths) or any(frame.frame_number > 1 for frame in image.frames):
        raise NotComparable("MONAI's PydicomReader reads single-frame files alone.")
    entry, is_volume = bundle.manifest.input, bundle.manifest.kind == "volume"
    count = len(paths)
    positions = [0] if is_volume else sorted({0, count // 2, count - 1})[:MOST_PLANES]
    in_colour = -1 if image.colour else None  # MONAI's reader cannot tell by itself
    with TemporaryDirectory() as folder:
        sources: Sequence[Path] = [paths[position] for position in positions]
        if is_volume:
            for number, path in enumerate(paths):
                shutil.copyfile(path, Path(folder) / f"{number:06d}.dcm")
            sources = [Path(folder)]
        try:
            own = torch.stack([_own(bundle, source, PydicomReader(channel_dim=in_colour)) for source in sources])
            if own.shape[1] == entry.channel_count:
                return own, "PydicomReader", positions
        except NotComparable:
            if image.colour or is_volume or entry.channel_count != 3:
                raise
        if image.colour or is_volume or entry.channel_count != 3:
            raise NotComparable(
                f"MONAI's own input has {own.shape[1]} channels; the network takes {entry.channel_count}."
            )
        pictures = [_as_rgb(image.values[position], Path(folder) / f"{position}.npy") for position in positions]
        own = torch.stack([_own(bundle, picture, NumpyReader(channel_dim=-1)) for picture in pictures])
        return own, "NumpyReader (the grey image as RGB)", positions


def _as_rgb(plane: NDArray[np.float32], path: Path) -> Path:
    """Write a grey plane (rows, columns) as the array that a picture reader gives of it in RGB, (x, y, 3)."""
    np.save(path, np.repeat(plane.T[:, :, None], 3, axis=2), allow_pickle=False)
    return path


def _own(bundle: Bundle, source: Path, reader: ImageReader) -> torch.Tensor:
    """Return what MONAI's own pipeline makes of a file or of a folder with a series, (C, *spatial)."""

    def read(asked: ReadByNode) -> Transform:
        options = {"reader": reader, "ensure_channel_first": asked.ensure_channel_first, "image_only": True}
        options["dtype"] = asked.dtype or np.float32
        return LoadImaged(keys=asked.keys, **options) if asked.keys else LoadImage(**options)

    key = bundle.manifest.configuration.preprocessing
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the readers, about decoders and elements that are not there
            own = bundle.configuration.reading(read, key)
            result = own(_start(bundle, source, reader))
    except DAMAGE as error:
        raise NotComparable(f"MONAI's own pipeline fails ({reason_of(error)}).") from error
    if isinstance(result, dict):
        result = result[next(iter(own.keys), "image")]
    return torch.as_tensor(np.asarray(result), dtype=torch.float32)


def _start(bundle: Bundle, source: Path, reader: ImageReader) -> Any:
    preprocessing = bundle.configuration.preprocessing(bundle.manifest.configuration.preprocessing)
    if preprocessing.readers:
        keys = preprocessing.readers[0].keys
        return dict.fromkeys(keys, source) if keys else source
    image = LoadImage(reader=reader, ensure_channel_first=True, image_only=True)(source)
    return dict.fromkeys(preprocessing.keys, image) if preprocessing.kind == "dictionary" else image
