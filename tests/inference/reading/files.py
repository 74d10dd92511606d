"""Files changed after they were written: elements with exactly these bytes, enhanced objects made of single frames."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import EnhancedMRImageStorage, generate_uid

IN_MACROS = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "WindowCenter", "WindowWidth")


def change(path: Path, **attributes: Any) -> Path:
    """Set attributes of a file; None removes one."""
    dataset = dcmread(path)
    for keyword, value in attributes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.save_as(path, enforce_file_format=True)
    return path


def put(path: Path, tag: int, vr: str, value: bytes) -> Path:
    """Put an element with exactly these bytes into a file."""
    dataset = dcmread(path)
    padded = value if len(value) % 2 == 0 else value + b" "
    dataset._dict[Tag(tag)] = RawDataElement(Tag(tag), vr, len(padded), padded, 0, False, True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def copied(paths: Sequence[Path], name: str, **attributes: Any) -> list[Path]:
    """Write the same images again as other instances, with other attributes."""
    copies = []
    for number, path in enumerate(paths):
        copy = path.with_name(f"{name}-{path.name}")
        copy.write_bytes(path.read_bytes())
        copies.append(change(copy, SOPInstanceUID=generate_uid(entropy_srcs=[name, str(number)]), **attributes))
    return copies


def item(**attributes: Any) -> Dataset:
    """Make an item of a sequence."""
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def code(value: str, scheme: str, meaning: str, **attributes: Any) -> Dataset:
    """Make a code item."""
    return item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning, **attributes)


def enhanced(paths: Sequence[Path], extra: Callable[[int, Dataset], None] = lambda _index, _groups: None) -> Path:
    """Write single-frame images as one Enhanced MR Image; ``extra`` changes the functional groups of each frame."""
    sources = [dcmread(path) for path in paths]
    whole = dcmread(paths[0])
    for keyword in IN_MACROS:
        if keyword in whole:
            delattr(whole, keyword)
    whole.SOPClassUID, whole.SOPInstanceUID = EnhancedMRImageStorage, generate_uid(entropy_srcs=[str(paths[0])])
    whole.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    whole.file_meta.MediaStorageSOPInstanceUID = whole.SOPInstanceUID
    whole.NumberOfFrames = len(sources)
    whole.SharedFunctionalGroupsSequence = [
        item(
            PixelMeasuresSequence=[item(PixelSpacing=sources[0].PixelSpacing)],
            PlaneOrientationSequence=[item(ImageOrientationPatient=sources[0].ImageOrientationPatient)],
        )
    ]
    groups = []
    for index, source in enumerate(sources):
        of_frame = item(
            FrameContentSequence=[item(StackID="1", InStackPositionNumber=index + 1)],
            PlanePositionSequence=[item(ImagePositionPatient=source.ImagePositionPatient)],
            PixelValueTransformationSequence=[item(RescaleSlope=1, RescaleIntercept=0, RescaleType="US")],
        )
        extra(index, of_frame)
        groups.append(of_frame)
    whole.PerFrameFunctionalGroupsSequence = groups
    whole.PixelData = b"".join(source.PixelData for source in sources)
    path = paths[0].with_name("enhanced.dcm")
    whole.save_as(path, enforce_file_format=True)
    return path


def stored_of(path: Path) -> np.ndarray:
    """Return the 16-bit values of a little-endian native file, straight from its bytes."""
    dataset = dcmread(path)
    kind = "<i2" if dataset.PixelRepresentation else "<u2"
    return np.frombuffer(dataset.PixelData, kind).reshape(-1, dataset.Rows, dataset.Columns)
