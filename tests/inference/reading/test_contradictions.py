"""Headers that their own pixels contradict, and damage inside elements: set apart with a sentence, never read askew."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from inference.errors import UnsupportedImage
from inference.reading.modality import read_table
from inference.reading.study import read_series, read_study
from tests.inference.reading.files import change, enhanced, item

NEEDS_DCMTK = pytest.mark.skipif(shutil.which("dcmcjpeg") is None, reason="needs DCMTK")


def whole_of(write_series, head, count: int = 6) -> Path:
    """Write an enhanced object of so many frames."""
    return enhanced(write_series(np.repeat(head[:1], count, axis=0)))


def compressed(path: Path, syntax: str) -> Path:
    dataset = dcmread(path)
    dataset.compress(syntax, generate_instance_uid=False)
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize("frames", [None, 1, 4, 9])
@pytest.mark.parametrize("syntax", ["", RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_a_number_of_frames_that_the_object_contradicts_loses_no_frame_in_silence(write_series, head, syntax, frames):
    path = whole_of(write_series, head)
    if syntax:
        compressed(path, syntax)
    change(path, NumberOfFrames=frames)
    with pytest.raises(UnsupportedImage, match=r"Number of Frames \(0028,0008\)"):
        read_series([path])


@pytest.mark.parametrize("frames", [1, 4])
@pytest.mark.parametrize("syntax", ["", RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_pixels_of_more_frames_than_announced_are_refused_without_functional_groups_too(
    write_series, head, syntax, frames
):
    path = whole_of(write_series, head)
    if syntax:
        compressed(path, syntax)
    change(path, NumberOfFrames=frames, PerFrameFunctionalGroupsSequence=None)
    with pytest.raises(UnsupportedImage, match=r"holds 6 frames"):
        read_series([path])


@pytest.mark.parametrize(
    ("attributes", "held"), [({"Columns": 15}, 2), ({"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}, 2)]
)
def test_pixels_twice_as_long_as_the_header_says_are_refused(write_series, head, attributes, held):
    (path,) = write_series(head[:1, :, :30])
    change(path, **attributes)
    with pytest.raises(UnsupportedImage, match=f"holds {held} frames"):
        read_series([path])


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless])
def test_a_codestream_of_another_size_than_the_header_says_is_refused(write_series, head, syntax):
    (path,) = write_series(np.tile(head[:1], (1, 2, 4)))
    compressed(path, syntax)
    change(path, Rows=160, Columns=96)
    with pytest.raises(UnsupportedImage, match="has 96 rows and 160 columns"):
        read_series([path])


@NEEDS_DCMTK
@pytest.mark.peers
def test_a_jpeg_of_dcmtk_of_another_size_than_the_header_says_is_refused(write_series, head):
    (path,) = write_series(head[:1, :40, :20])
    subprocess.run(["dcmcjpeg", path, path], check=True)
    assert read_series([path]).values.shape == (1, 40, 20)
    change(path, Rows=20, Columns=40)
    with pytest.raises(UnsupportedImage, match="has 40 rows and 20 columns"):
        read_series([path])


def test_two_images_of_one_uid_are_not_taken_for_one(write_series, head):
    paths = write_series(head[:4])
    first = dcmread(paths[0]).SOPInstanceUID
    change(paths[1], SOPInstanceUID=first)
    reading = read_study(paths)
    assert reading.read + reading.set_apart == 4
    assert [entry.reason for entry in reading.instances if "same SOP Instance UID" in entry.reason]
    assert reading.images[0].missing


def test_one_image_in_two_transfer_syntaxes_counts_once(write_series, head, tmp_path):
    paths = write_series(head[:3])
    again = tmp_path / "again.dcm"
    again.write_bytes(paths[0].read_bytes())
    compressed(again, RLELossless)
    reading = read_study([*paths, again])
    assert (reading.read, reading.set_apart) == (3, 0)


def test_a_truncated_deflated_file_takes_no_other_down(write_series, head):
    paths = write_series(head[:3])
    dataset = dcmread(paths[0])
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(paths[0], enforce_file_format=True)
    paths[0].write_bytes(paths[0].read_bytes()[:-400])
    reading = read_study(paths)
    assert (reading.read, reading.set_apart) == (2, 1)


def test_a_private_transfer_syntax_is_named_and_takes_no_other_down(write_series, head):
    paths = write_series(head[:3])
    content = paths[0].read_bytes()
    private = b"1.2.840.113619.5.2\0"
    dataset = dcmread(paths[0])
    known = str(dataset.file_meta.TransferSyntaxUID).encode()
    assert len(known) <= len(private)
    dataset.file_meta.TransferSyntaxUID = private.decode().strip("\0")
    dataset.save_as(paths[0], implicit_vr=False, little_endian=True, enforce_file_format=False)
    assert paths[0].read_bytes() != content
    reading = read_study(paths)
    assert (reading.read, reading.set_apart) == (2, 1)
    assert [entry.reason for entry in reading.instances if "Transfer Syntax UID (0002,0010)" in entry.reason]


def test_a_decoder_that_panics_is_the_images_fault_in_words(write_series, head):
    """One RLE frame that decodes to more pixels than its header says makes the decoder in Rust panic."""
    paths = [compressed(path, RLELossless) for path in write_series(head[:3])]
    dataset = dcmread(paths[0])
    dataset.Rows = dataset.Rows // 2
    dataset.save_as(paths[0], enforce_file_format=True)
    reading = read_study(paths)
    (reason,) = [entry.reason for entry in reading.instances if entry.reason]
    assert reading.read == 2
    assert "check the installation" not in reason


def test_a_frame_without_the_rescale_that_others_have_is_set_apart(write_series, head):
    def rescaled(index, groups):
        if index == 2:
            del groups.PixelValueTransformationSequence
        else:
            groups.PixelValueTransformationSequence[0].RescaleSlope = 2

    image = read_series([enhanced(write_series(head[:4]), rescaled)])
    assert [frame.frame_number for frame in image.frames] == [1, 2, 4]
    assert "Pixel Value Transformation Sequence (0028,9145) is absent" in image.missing[0]
    assert np.array_equal(image.values, head[[0, 1, 3]].astype(np.float32) * 2)


def test_a_table_of_an_odd_number_of_bytes_is_read_without_its_padding():
    table = item(LUTDescriptor=[255, 3, 8], LUTData=bytes(range(255)) + b"\0")
    assert read_table(table) == (tuple(range(255)), 3, 8)
