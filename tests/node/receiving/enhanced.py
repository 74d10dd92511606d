"""Enhanced MR images of many frames, encoded once and repeated: thousands of frames cost no time to make."""

import struct
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filebase import DicomIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian

from .intake import encode, mr_image, with_meta

ELEMENTS_OF_A_FRAME = 87
"""Elements and items, as scanners write them with their private sequences."""
_ITEM = struct.Struct("<HHL")


def enhanced_mr(frames: int, *, size: int = 16) -> tuple[Dataset, bytes]:
    """An Enhanced MR image without its pixels and frames' functional groups, and the data set with them, encoded."""
    image = mr_image(size=size)
    image.SOPClassUID = EnhancedMRImageStorage
    image.NumberOfFrames = frames
    pixels = image.PixelData
    del image.PixelData
    with_meta(image, ExplicitVRLittleEndian)
    item = _encoded(_frame())
    items = (_ITEM.pack(0xFFFE, 0xE000, len(item)) + item) * frames
    groups = struct.pack("<HH2sHL", 0x5200, 0x9230, b"SQ", 0, len(items)) + items
    return image, encode(image) + groups + struct.pack("<HH2sHL", 0x7FE0, 0x10, b"OW", 0, len(pixels) * frames) + (
        pixels * frames
    )


def _frame() -> Dataset:
    """The functional groups of one frame (PS3.3 C.7.6.16.2), and a private sequence that brings their number up."""
    content, position, orientation, measures = Dataset(), Dataset(), Dataset(), Dataset()
    content.StackID, content.InStackPositionNumber, content.TemporalPositionIndex = "1", 1, 1
    content.DimensionIndexValues = [1, 1, 1]
    content.FrameAcquisitionDateTime = "20250102030405.0000"
    position.ImagePositionPatient = [0, 0, 0]
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing, measures.SliceThickness = [1, 1], 1
    frame = Dataset()
    frame.FrameContentSequence, frame.PlanePositionSequence = [content], [position]
    frame.PlaneOrientationSequence, frame.PixelMeasuresSequence = [orientation], [measures]
    private = Dataset()
    block = private.private_block(0x2005, "Scanner MR Imaging DD 005", create=True)
    for number in range(ELEMENTS_OF_A_FRAME - 22):
        block.add_new(number, "SH", f"{number:06}")
    frame.private_block(0x2005, "Scanner MR Imaging DD 005", create=True).add_new(0x0F, "SQ", Sequence([private]))
    return frame


def _encoded(dataset: Dataset) -> bytes:
    buffer = DicomIO(BytesIO())
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, dataset)
    return bytes(buffer.parent.getvalue())
