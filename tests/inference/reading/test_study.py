"""A study is accounted for to the last instance, and one odd object takes nothing else down."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import EnhancedMRImageStorage, RawDataStorage, SecondaryCaptureImageStorage, generate_uid

from inference.errors import UnsupportedImage
from inference.reading.account import Disposition
from inference.reading.study import read_series, read_study
from tests.inference.reading.files import change, copied, enhanced, put


def sample(name: str) -> Path:
    return Path(str(get_testdata_file(f"{name}.dcm", download=False)))


def series_of(paths, name, **attributes):
    return copied(paths, name, SeriesInstanceUID=generate_uid(entropy_srcs=[name]), **attributes)


def test_every_instance_is_read_set_apart_or_not_meant_with_its_reason(write_series, head, tmp_path):
    good = write_series(head)
    unwanted = series_of(good, "unwanted", SeriesDescription="OTHER")
    broken = series_of(good, "broken")
    for path in broken:
        put(path, 0x00281053, "DS", b"1,0")
    report = shutil.copy(sample("test-SR"), tmp_path / "report.dcm")
    change(report, PatientID="PHANTOM-1", PatientName="")
    noise = tmp_path / "noise.txt"
    noise.write_text("not DICOM")
    found = read_study(
        [*good, *unwanted, *broken, report, noise],
        wanted=lambda image: "The series is OTHER." if "OTHER" in image.description else "",
    )
    assert [len(image.frames) for image in found.images] == [6]
    assert (found.read, found.not_meant, found.set_apart) == (6, 6, 8)
    assert found.reasons(Disposition.NOT_MEANT) == ("The series is OTHER. (6 instances)",)
    assert set(found.reasons(Disposition.SET_APART)) == {
        "Rescale Slope (0028,1053) is '1,0', which is not a number. (6 instances)",
        "Comprehensive SR Storage has no image pixels: there is no Pixel Data (7FE0,0010). (1 instance)",
        "The file is not DICOM: it lacks the preamble and prefix of PS3.10 7.1. (1 instance)",
    }
    assert all(entry.reason for entry in found.instances if entry.disposition is not Disposition.READ)


def test_a_study_of_which_nothing_is_readable_is_refused_with_its_reasons(write_series, head):
    paths = write_series(head)
    for path in paths:
        put(path, 0x00281053, "DS", b"NaN")
    with pytest.raises(UnsupportedImage, match=r"no readable image series. Rescale Slope \(0028,1053\) is 'NaN'"):
        read_study(paths)


def test_a_study_of_stacks_not_meant_raises_nothing(write_series, head):
    found = read_study(write_series(head), wanted=lambda _image: "Not meant.")
    assert (found.images, found.not_meant) == ((), 6)


@pytest.mark.parametrize("kind", ["raw data", "screen save"])
def test_a_foreign_object_in_a_series_is_set_apart_and_is_no_missing_image(write_series, head, kind):
    paths = write_series(head)
    plain = read_series(paths)
    (other,) = copied(paths[:1], "other")
    dataset = dcmread(other)
    if kind == "raw data":
        dataset.SOPClassUID = RawDataStorage
        del dataset.PixelData, dataset.Rows, dataset.Columns
    else:
        dataset.SOPClassUID = SecondaryCaptureImageStorage
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit, dataset.PixelData = 7, bytes(48 * 40 * 3)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.save_as(other)
    found = read_study([*paths, other])
    (image,) = found.images
    assert np.array_equal(image.values, plain.values)
    assert (image.stack, image.missing, image.digest) == ("", (), plain.digest)
    (apart,) = [entry for entry in found.instances if entry.disposition is Disposition.SET_APART]
    assert apart.sop_instance_uid == dataset.SOPInstanceUID
    assert ("Raw Data" if kind == "raw data" else "Secondary Capture") in apart.reason
    assert not apart.unreadable


def test_a_series_of_secondary_captures_alone_is_read(write_series, head):
    paths = write_series(head, SOPClassUID=SecondaryCaptureImageStorage)
    assert len(read_series(paths).frames) == 6


def test_classic_and_enhanced_images_of_one_series_are_two_stacks(write_series, head):
    paths = write_series(head)
    images = read_study([*paths, enhanced(paths)]).images
    assert [image.frames[0].sop_class_uid == EnhancedMRImageStorage for image in images] == [False, True]


def test_an_image_that_cannot_be_decoded_is_named_beside_the_others(write_series, head):
    paths = write_series(head)
    content = paths[4].read_bytes()
    paths[4].write_bytes(content[:-200])
    found = read_study(paths)
    (image,) = found.images
    assert [frame.position_mm[2] for frame in image.frames] == [0, 5, 10, 15, 25]
    (sentence,) = image.missing
    assert sentence.startswith("1 received image of this stack could not be read: The pixels are cut short")


def test_a_file_cut_short_in_its_header_is_accounted_for(write_series, head):
    paths = write_series(head)
    paths[4].write_bytes(paths[4].read_bytes()[:500])
    found = read_study(paths)
    assert (found.read, found.set_apart) == (5, 1)
    assert found.images[0].spacing.missing == 1


def test_frames_that_fared_differently_count_their_instance_once(write_series, head):
    def odd(index, groups):
        if index == 3:
            groups.PixelValueTransformationSequence[0].RescaleIntercept = [1, 2]

    found = read_study([enhanced(write_series(head), odd)])
    assert len(found.instances) == 2
    assert {entry.disposition: entry.frames for entry in found.instances} == {
        Disposition.READ: 5,
        Disposition.SET_APART: 1,
    }
    assert (found.read, found.set_apart, found.not_meant) == (1, 0, 0)


def test_the_order_of_files_changes_nothing(write_series, head):
    paths = write_series(head)
    others = copied(paths, "other", EchoTime=90)
    for path in paths:
        change(path, EchoTime=20)
    every = [*paths, *others]
    shuffled = [every[index] for index in np.random.default_rng(0).permutation(len(every))]
    for first, second in zip(read_study(every).images, read_study(shuffled).images, strict=True):
        assert np.array_equal(first.values, second.values)
        assert (first.stack, first.frames, first.digest) == (second.stack, second.frames, second.digest)
