"""What a network sees of a NIfTI file made of the same stack, beside what it sees here of the DICOM files.

Many networks were trained on NIfTI. A converter (dcm2niix) keeps the values and the place of every voxel, but turns the
order of the rows round and says the place in RAS where DICOM has LPS. ``Orientation`` in a preprocessing undoes the
turn; without it the network was trained on images that stand the other way up than MONAI's PydicomReader gives them.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel
import numpy as np
import torch
from monai.data import NibabelReader
from monai.transforms import Orientation, Orientationd, Spacing, Spacingd
from numpy.typing import NDArray

from inference.bundle.bundle import Bundle
from inference.porting.beside import (
    Compared,
    NotComparable,
    check_comparable,
    compared,
    own_input,
    positions_compared,
)
from inference.prepare import ModelInput
from inference.reading.image import Image
from inference.reading.instance import Frame

READER = "NibabelReader on a NIfTI of the same stack"
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""From the patient's axes of DICOM (left, back, head; PS3.3 C.7.6.2.1.1) to those of NIfTI (right, front, head)."""
TRAINED_ON_NIFTI = ("nibabel", "nifti", "nii")
"""Words of ``data_type`` in metadata.json."""


def reads_nifti(bundle: Bundle) -> bool:
    """Whether a bundle's own reader is for NIfTI: by its name, or where none is named by the data of its metadata."""
    named = [reader.reader for reader in bundle.preprocessing.readers if reader.reader]
    if named:
        return "NibabelReader" in named
    return any(word in bundle.configuration.data_type.lower() for word in TRAINED_ON_NIFTI)


def beside_nifti(bundle: Bundle, image: Image, given: ModelInput) -> Compared:
    """Compare what the node prepared from a stack with MONAI's own pipeline on NIfTI files made of it.

    Args:
        bundle: sealed or not.
        image: the stack.
        given: what ``prepare`` made of it.

    Raises:
        NotComparable: the stack does not say where in the patient it lies, or the bundle takes what no NIfTI holds.
    """
    check_comparable(bundle)
    if image.colour or bundle.manifest.input.neighbours:
        raise NotComparable("A NIfTI is made of grey series alone, one channel each.")
    positions, stacks = positions_compared(bundle, image), (image, *image.further)
    reader = NibabelReader()
    with TemporaryDirectory() as folder:
        written = [
            [_written(stack, _frames(bundle, stack, at), Path(folder) / f"{at}-{number}.nii.gz")
             for number, stack in enumerate(stacks)]
            for at in positions
        ]  # fmt: skip
        own = torch.stack([own_input(bundle, sources, reader) for sources in written])
    return compared(bundle, own, given.tensor[positions], READER)


def cause_of(bundle: Bundle, beside: Compared) -> str:
    """Say what a difference may come from; empty where there is none, or it is not known."""
    steps = bundle.preprocessing.steps
    if beside.is_same:
        return ""
    if not any(isinstance(step, (Orientation, Orientationd)) for step in steps):
        return (
            "The preprocessing has no Orientation: what a network saw of NIfTI files depends on the converter, and "
            "dcm2niix turns the rows round. Compare with a file of the training data."
        )
    if any(isinstance(step, (Spacing, Spacingd)) for step in steps):
        return (
            "A NIfTI keeps its affine in single precision: of an oblique series MONAI's Spacing then begins its grid "
            "elsewhere, by less than a voxel."
        )
    return ""


def _frames(bundle: Bundle, stack: Image, position: int) -> range:
    if bundle.manifest.kind == "volume":
        return range(len(stack.frames))
    if position >= len(stack.frames):
        raise NotComparable("The series that are channels have different numbers of planes.")
    return range(position, position + 1)


def _written(stack: Image, indices: range, path: Path) -> Path:
    """Write planes of a stack as a converter does; one plane as an image of two dimensions."""
    planes = stack.values[indices.start : indices.stop, ::-1].transpose(2, 1, 0)
    affine = TO_RAS @ _affine([stack.frames[index] for index in indices], stack.values.shape[1])
    values = np.ascontiguousarray(planes[..., 0] if len(indices) == 1 else planes, dtype=np.float32)
    nibabel.save(nibabel.Nifti1Image(values, affine), path)  # type: ignore[no-untyped-call]
    return path


def _affine(frames: Sequence[Frame], rows: int) -> NDArray[np.float64]:
    """Return the map from (x, y counted from the last row, z) to mm in the patient, of planes in one direction."""
    first, last = frames[0], frames[-1]
    if first.position_mm is None or last.position_mm is None or first.orientation is None:
        raise NotComparable("The stack does not say where in the patient it lies: no NIfTI can be made of it.")
    between_rows, between_columns = first.pixel_spacing_mm or (1.0, 1.0)
    along_row, along_column = np.array(first.orientation[:3]), np.array(first.orientation[3:])
    origin, end = np.array(first.position_mm), np.array(last.position_mm)
    affine = np.eye(4)
    affine[:3, 0] = along_row * between_columns
    affine[:3, 1] = -along_column * between_rows
    affine[:3, 2] = (end - origin) / (len(frames) - 1) if len(frames) > 1 else np.cross(along_row, along_column)
    affine[:3, 3] = origin + along_column * between_rows * (rows - 1)
    return affine
