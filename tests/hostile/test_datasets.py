"""Data sets that lie, overrun or do not end: each is refused at the door, in bounded time, and the node goes on.

Rows of the fault list that other modules keep: no shell anywhere (tests/test_house.py), UIDs of the command set, cut
pixel data, repeated and conflicting instances (tests/node/receiving/test_inbox.py and
test_listener.py), hostile bundles and weights (tests/inference/bundle/test_bundle.py).
"""

import json
import struct
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.data import get_testdata_file
from pydicom.uid import (
    EnhancedMRImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from inference.errors import UnreadableInstance, UnsupportedImage
from inference.reading.image import read_series, read_study
from node.receiving import quarantine
from node.receiving.inspection import Arrival, inspect
from node.settings.limits import STANDARD, Limits
from node.store import now
from tests.hostile.byte_sender import ByteSender
from tests.node.receiving.enhanced import enhanced_mr
from tests.node.receiving.intake import Intake, encode, mr_image, with_meta
from tests.patience import patient

UNDEFINED = 0xFFFFFFFF
SYNTAXES = (
    ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless, JPEGBaseline8Bit, JPEGLSLossless,
    JPEG2000Lossless,
)  # fmt: skip


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Intake]:
    """One live listener for all that is sent here."""
    intake = Intake(tmp_path_factory.mktemp("datasets"))
    intake.listener.start()
    yield intake
    intake.close()


@pytest.fixture
def sender(node: Intake) -> Iterator[ByteSender]:
    """An association, which nothing that is sent may end."""
    with ByteSender(node.listener.port, *SYNTAXES) as made:
        yield made


def refused(node: Intake, sender: ByteSender, image: Dataset, encoded: bytes | None, *, seconds: float = 2.0) -> str:
    """Send it, see it refused soon, with nothing kept and the association open; give the reason."""
    kept, aside = node.files(), set(node.quarantined())
    started = time.monotonic()
    answer = sender.store(encoded, instance=image.SOPInstanceUID, syntax=image.file_meta.TransferSyntaxUID)
    assert time.monotonic() - started < patient(seconds)
    assert answer.Status == 0xC000
    assert sender.echo() == 0x0000
    assert node.files() == kept
    (record,) = set(node.quarantined()) - aside or {None}
    return str(json.loads(record.read_text())["reason"]) if record else str(answer.ErrorComment)


def kept(sender: ByteSender, image: Dataset, encoded: bytes) -> bool:
    answer = sender.store(encoded, instance=image.SOPInstanceUID, syntax=image.file_meta.TransferSyntaxUID)
    return bool(answer.Status == 0x0000)


def with_element(encoded: bytes, element: bytes) -> bytes:
    """Put an encoded element of a group below 0010 before the patient's."""
    place = encoded.index(b"\x10\x00\x10\x00")
    return encoded[:place] + element + encoded[place:]


def arrival(image: Dataset, encoded: bytes) -> Arrival:
    syntax = image.file_meta.TransferSyntaxUID
    return Arrival(image.SOPClassUID, image.SOPInstanceUID, syntax, encoded, "SENDER", "127.0.0.1", now())


def nested(depth: int, *, defined: bool, implicit: bool) -> bytes:
    """Referenced Series Sequences in each other."""
    tag = b"\x08\x00\x15\x11" + (b"" if implicit else b"SQ\0\0")
    item = b"\xfe\xff\x00\xe0"
    if not defined:
        opening = tag + struct.pack("<L", UNDEFINED) + item + struct.pack("<L", UNDEFINED)
        return opening * depth + (b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0") * depth
    size = len(tag) + 4 + 8
    levels = [
        tag + struct.pack("<L", size * inner + 8) + item + struct.pack("<L", size * inner)
        for inner in range(depth - 1, -1, -1)
    ]
    return b"".join(levels)


@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
@pytest.mark.parametrize("defined", [False, True], ids=["undefined length", "defined length"])
@pytest.mark.parametrize("depth", [65, 1_000, 100_000])
def test_sequences_nested_deeper_than_64_are_refused(
    node: Intake, sender: ByteSender, depth: int, defined: bool, implicit: bool
) -> None:
    image = with_meta(mr_image(), ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian)
    encoded = with_element(encode(image), nested(depth, defined=defined, implicit=implicit))
    assert "nested more than 64 deep" in refused(node, sender, image, encoded)


@pytest.mark.parametrize("defined", [False, True], ids=["undefined length", "defined length"])
def test_sequences_nested_64_deep_are_kept_and_can_be_read(node: Intake, sender: ByteSender, defined: bool) -> None:
    image = mr_image()
    assert kept(sender, image, with_element(encode(image), nested(64, defined=defined, implicit=False)))
    level = dcmread(next(path for path in node.files() if image.SOPInstanceUID.encode() in path.read_bytes()))
    for _ in range(64):
        level = level.ReferencedSeriesSequence[0]
    assert len(level) == 0


def test_a_million_elements_are_refused_in_bounded_time_and_memory(node: Intake, sender: ByteSender) -> None:
    image = mr_image()
    encoded = with_element(encode(image), struct.pack("<HH2sH", 9, 0x1010, b"LO", 0) * 1_000_000)
    assert "more than 250000 elements" in refused(node, sender, image, encoded)
    tracemalloc.start()
    with pytest.raises(UnreadableInstance):
        inspect(arrival(image, encoded), Limits(elements=50_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_an_enhanced_mr_image_of_4160_frames_and_more_than_358000_elements_is_kept(node: Intake) -> None:
    image, encoded = enhanced_mr(4160)
    with ByteSender(node.listener.port, ExplicitVRLittleEndian, storage_class=EnhancedMRImageStorage) as scanner:
        assert kept(scanner, image, encoded)
    read = dcmread(next(path for path in node.files() if path.stat().st_size > len(encoded)))
    assert len(read.PerFrameFunctionalGroupsSequence) == read.NumberOfFrames == 4160


@pytest.mark.parametrize("frames", ["1", "4160", "65536", "999999999999"])
def test_frames_that_are_only_announced_allow_no_million_of_elements_in_a_few_bytes(
    node: Intake, sender: ByteSender, frames: str
) -> None:
    """Each further element must be paid for by 32 bytes; these have 8."""
    image = mr_image()
    image.add_new(0x00280008, "LO", frames)
    encoded = encode(image).replace(b"\x28\x00\x08\x00LO", b"\x28\x00\x08\x00IS")
    place = encoded.index(b"\xe0\x7f\x10\x00")
    bomb = encoded[:place] + struct.pack("<HH2sH", 0x0029, 0x1010, b"LO", 0) * 1_000_000 + encoded[place:]
    allowed = 250_000 + (len(bomb) // 32 if frames != "1" else 0)
    assert f"more than {allowed} elements" in refused(node, sender, image, bomb, seconds=5)


def test_a_number_of_frames_inside_a_sequence_allows_no_further_elements(node: Intake, sender: ByteSender) -> None:
    image = mr_image()
    item = struct.pack("<HH2sH", 0x28, 8, b"IS", 4) + b"4160"
    nested_frames = struct.pack("<HH2sHLHHL", 8, 0x1115, b"SQ", 0, len(item) + 8, 0xFFFE, 0xE000, len(item)) + item
    bomb = nested_frames + struct.pack("<HH2sH", 9, 0x1010, b"LO", 0) * 300_000
    assert "more than 250000 elements" in refused(node, sender, image, with_element(encode(image), bomb))


LENGTHS = {
    "a length that swallows its neighbours": (b"\x08\x00\x60\x00CS\x40\x00MR", "the data set is cut short"),
    "a length beyond the end": (b"\x08\x00\x62\x00UI\xff\xff1.2", "the data set is cut short"),
    "2 GiB": (b"\x09\x00\x18\x11UN\0\0" + struct.pack("<L", 1 << 31) + b"x", "the data set is cut short"),
    "text without a length": (b"\x09\x00\x18\x11LO\xff\xff", "the data set is cut short"),
    "a sequence that is none": (b"\x08\x00\x15\x11SQ\0\0\x08\0\0\0" + b"12345678", "do not follow each other"),
    "a UID as text": (b"\x08\x00\x18\x00LO\x02\x001.", "its element 0008,0018 is not of VR UI"),
    "an odd length": (b"\x08\x00\x61\x00LO\x03\x00ODD", None),
    "no number where one should be": (b"\x08\x00\x60\x00DS\x02\x00\xff\xff", None),
    "an unknown VR": (b"\x09\x00\x18\x11ZZ\x02\x001 ", None),
}


@pytest.mark.parametrize(("element", "reason"), LENGTHS.values(), ids=LENGTHS)
def test_lengths_and_vrs_that_are_wrong_never_move_what_identifies_an_instance(
    node: Intake, sender: ByteSender, element: bytes, reason: str | None
) -> None:
    """What does not matter is let pass as other systems do; a length that swallows its neighbours is not."""
    image = mr_image()
    encoded = encode(image)
    place = encoded.index(b"\x08\x00\x60\x00CS")
    changed = encoded[:place] + element + encoded[place:]
    if reason is not None:
        assert reason in refused(node, sender, image, changed)
        return
    assert kept(sender, image, changed)
    assert sender.echo() == 0x0000
    last = max(node.files(), key=lambda path: path.stat().st_mtime_ns)
    assert dcmread(last).SOPInstanceUID == image.SOPInstanceUID


@pytest.mark.parametrize("keyword", ["Rows", "Columns", "BitsAllocated", "SamplesPerPixel"])
def test_a_number_written_under_another_vr_is_refused(node: Intake, sender: ByteSender, keyword: str) -> None:
    """Rows as unsigned long, or as text: two readers would see two images."""
    image = mr_image()
    encoded = encode(image)
    tag = struct.pack("<HH", image[keyword].tag.group, image[keyword].tag.element)
    for vr in (b"UL", b"LO", b"SS"):
        assert "is not of VR US" in refused(node, sender, image, encoded.replace(tag + b"US", tag + vr))


def test_a_value_of_many_megabytes_of_numbers_is_refused_and_as_long_bulk_data_is_kept(
    node: Intake, sender: ByteSender
) -> None:
    image = with_meta(mr_image(), ImplicitVRLittleEndian)
    numbers = struct.pack("<HHL", 8, 0x1120, 4 << 20) + b"1\\" * (2 << 20)
    position = struct.pack("<HHL", 0x20, 0x32, 4 << 20) + b"1\\" * (2 << 20)
    encoded = encode(image)
    place = encoded.index(b"\x28\x00\x02\x00")
    assert "where 1048576 are the limit" in refused(node, sender, image, encoded[:place] + position + encoded[place:])
    private = struct.pack("<HHL", 9, 0x1010, 4 << 20) + numbers[8:]
    assert kept(sender, image, with_element(encoded, private))


@pytest.mark.parametrize("group", [0x0000, 0x0002, 0x0004])
def test_a_data_set_cannot_bring_a_transfer_syntax_of_its_own(node: Intake, sender: ByteSender, group: int) -> None:
    """In the file that is kept it would follow the file meta information, and be read as part of it: deflated."""
    image = mr_image()
    element = struct.pack("<HH2sH", group, 0x0010, b"UI", 22) + b"1.2.840.10008.1.2.1.99"
    assert "belong outside" in refused(node, sender, image, element + encode(image))


@pytest.mark.parametrize("encoded", [None, b"\0" * 4096, b"\xff" * 4096, b"PK\x03\x04" * 999])
def test_no_data_set_and_garbage_are_refused(node: Intake, sender: ByteSender, encoded: bytes | None) -> None:
    refused(node, sender, mr_image(), encoded)


@pytest.mark.parametrize(
    ("keyword", "path"),
    [
        ("StudyInstanceUID", "../../outside"),
        ("SeriesInstanceUID", "/var/outside"),
        ("SOPInstanceUID", ".."),
        ("SOPClassUID", "1.2\n3"),
        ("StudyInstanceUID", "1.2\\..\\3"),
        ("SOPInstanceUID", "1." * 40 + "1"),
    ],
)
def test_a_path_in_place_of_any_uid_of_the_data_set_names_nothing(
    node: Intake, sender: ByteSender, keyword: str, path: str
) -> None:
    image = mr_image()
    encoded = encode(image)
    element = image[keyword]
    old = str(element.value).encode()
    padded = path.encode() + b"\0" * (len(path) % 2)
    tag = struct.pack("<HH2s", element.tag.group, element.tag.element, b"UI")
    was = tag + struct.pack("<H", len(old) + len(old) % 2) + old + b"\0" * (len(old) % 2)
    assert was in encoded
    assert "UID" in refused(node, sender, image, encoded.replace(was, tag + struct.pack("<H", len(padded)) + padded))
    assert not list(node.home.parent.rglob("*outside*"))


def encapsulated(image: Dataset, syntax: str, fragment: bytes) -> bytes:
    """The image with one compressed fragment in place of its pixels."""
    del image.PixelData
    with_meta(image, syntax)
    fragment += b"\0" * (len(fragment) % 2)
    items = [b"", fragment]
    pixels = b"".join(b"\xfe\xff\x00\xe0" + struct.pack("<L", len(item)) + item for item in items)
    return (
        encode(image) + b"\xe0\x7f\x10\x00OB\0\0" + struct.pack("<L", UNDEFINED) + pixels + b"\xfe\xff\xdd\xe0\0\0\0\0"
    )


JPEG_FRAME = (
    b"\xff\xd8\xff\xe0\x00\x04\0\0" + b"\xff\xc0\x00\x0b\x08" + struct.pack(">HH", 65535, 65535) + b"\1\1\x11\0"
)
JPEG_LS_FRAME = b"\xff\xd8" + b"\xff\xf7\x00\x0b\x10" + struct.pack(">HH", 65535, 65535) + b"\1\1\x11\0"
JPEG_LS_LARGE = (
    b"\xff\xd8\xff\xf8\x00\x0c\x04\x04" + struct.pack(">LL", 1 << 20, 1 << 20) + b"\xff\xf7\x00\x0b\x10" + bytes(9)
)
JPEG_2000_SIZE = (
    b"\xff\x4f\xff\x51\x00\x29\0\0" + struct.pack(">8L", 65535, 65535, 0, 0, 65535, 65535, 0, 0) + b"\0\1\x0f\1\1"
)
JP2_BOX = struct.pack(">L", 12) + b"jP  \r\n\x87\n" + struct.pack(">L", 500) + b"jp2c" + JPEG_2000_SIZE


@pytest.mark.parametrize(
    ("syntax", "fragment"),
    [
        (JPEGBaseline8Bit, JPEG_FRAME),
        (JPEGLSLossless, JPEG_LS_FRAME),
        (JPEGLSLossless, JPEG_LS_LARGE),
        (JPEG2000Lossless, JPEG_2000_SIZE),
        (JPEG2000Lossless, JP2_BOX),
    ],
    ids=["JPEG", "JPEG-LS", "JPEG-LS, large", "JPEG 2000", "JPEG 2000 in a box"],
)
def test_compressed_pixels_that_announce_a_larger_image_than_the_header_are_refused(
    node: Intake, sender: ByteSender, syntax: str, fragment: bytes
) -> None:
    image = mr_image()
    assert "its compressed pixels announce" in refused(node, sender, image, encapsulated(image, syntax, fragment))


def test_run_lengths_that_cannot_hold_the_image_are_refused(node: Intake, sender: ByteSender) -> None:
    image = mr_image()
    image.Rows = image.Columns = 8192
    assert "cannot hold" in refused(node, sender, image, encapsulated(image, RLELossless, bytes(64) + b"\x81\0" * 99))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, JPEG2000Lossless])
@pytest.mark.parametrize(
    ("rows", "columns", "frames"), [(65535, 65535, 1), (1, 1, 2**31 - 1), (65535, 65535, 2**31 - 1), (512, 512, 2**31)]
)
def test_more_pixels_or_frames_than_the_limits_are_refused_by_the_header(
    node: Intake, sender: ByteSender, rows: int, columns: int, frames: int, syntax: str
) -> None:
    image = mr_image()
    image.Rows, image.Columns = rows, columns
    image.add_new(0x00280008, "LO", str(frames))  # pydicom's IS would refuse 2^31
    native = encode(image) if syntax == ExplicitVRLittleEndian else encapsulated(image, syntax, b"\xff\x4f\xff\x51")
    refused(node, sender, image, native.replace(b"\x28\x00\x08\x00LO", b"\x28\x00\x08\x00IS"))


def test_many_frames_without_a_pixel_are_refused_too(node: Intake, sender: ByteSender) -> None:
    report = mr_image()
    for keyword in ("Rows", "Columns", "PixelData", "BitsAllocated"):
        del report[keyword]
    report.NumberOfFrames = 2**31 - 1
    assert "65536 are the limit" in refused(node, sender, report, encode(report))


@pytest.mark.parametrize("frames", ["-1", "0", "1e9", "9" * 40, "1_000"])
def test_a_number_of_frames_that_is_not_a_positive_integer_is_refused(
    node: Intake, sender: ByteSender, frames: str
) -> None:
    image = mr_image()
    image.add_new(0x00280008, "LO", frames)
    encoded = encode(image).replace(b"\x28\x00\x08\x00LO", b"\x28\x00\x08\x00IS")
    assert "Number of Frames (0028,0008)" in refused(node, sender, image, encoded)


@pytest.mark.parametrize("program", [b"MZ\x90\x00", b"\x7fELF\x02\x01\x01", b"#!/bin/sh\nid\n"])
def test_a_preamble_that_is_a_program_never_reaches_what_is_kept(node: Intake, program: bytes, tmp_path: Path) -> None:
    source = Path(str(get_testdata_file("MR_small.dcm", download=False)))
    content = source.read_bytes()
    polyglot = tmp_path / "polyglot.dcm"
    image = dcmread(source)
    polyglot.write_bytes(program.ljust(128, b"\0") + content[128:])
    assert dcmread(polyglot).preamble.startswith(program)
    association = node.associate(image)
    assert association.send_c_store(polyglot).Status == 0x0000
    association.release()
    for path in node.files():
        assert path.read_bytes()[:132] == bytes(128) + b"DICM"
        assert path.stat().st_mode & 0o777 == 0o600


def test_what_is_set_aside_is_the_owners_alone_and_no_program(node: Intake, sender: ByteSender) -> None:
    refused(node, sender, mr_image(), b"#!/bin/sh\nid\n" * 99)
    folder = node.home / "quarantine"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_a_flood_of_refused_instances_leaves_few_files_the_newest_among_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "MAXIMUM_RECORDS", 100)
    ward = quarantine.Quarantine(tmp_path / "quarantine", minimum_free_bytes=0)
    image = mr_image()
    sent = arrival(image, b"x" * 100)
    with ThreadPoolExecutor(4) as pool:
        names = list(pool.map(lambda _: ward.keep(sent, "reason"), range(600)))
    left = {path.stem for path in (tmp_path / "quarantine").iterdir()}
    assert len(left) <= 100 + 50 + 4
    assert set(names[-50:]) <= left


def test_the_limits_are_those_of_the_settings() -> None:
    image = mr_image()
    sent = arrival(image, encode(image))
    assert inspect(sent, STANDARD).sop_instance_uid == image.SOPInstanceUID
    for tighter in (Limits(elements=10), Limits(pixel_values=1023), Limits(text_bytes=1024)):
        if tighter.text_bytes == 1024:
            image.add_new(0x00324000, "LT", "x" * 1025)
        with pytest.raises(UnreadableInstance, match=r"limit|more than 10 elements"):
            inspect(arrival(image, encode(image)), tighter)


def written(folder: Path, *images: Dataset) -> list[Path]:
    paths = [folder / f"{number}.dcm" for number in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        dcmwrite(path, image, enforce_file_format=True)
    return paths


@pytest.mark.parametrize(("keyword", "other"), [("PatientName", "SOMEBODY^ELSE"), ("PatientID", "ANOTHER")])
@pytest.mark.parametrize("same_series", [True, False])
def test_a_study_that_names_two_patients_is_not_analysed_and_the_reason_names_neither(
    tmp_path: Path, keyword: str, other: str, same_series: bool
) -> None:
    study, series = generate_uid(), generate_uid()
    first = mr_image(study, series=series)
    second = mr_image(study, series=series if same_series else None)
    setattr(second, keyword, other)
    paths = written(tmp_path, first, second)
    attribute = {"PatientName": "Patient's Name", "PatientID": "Patient ID"}[keyword]
    with pytest.raises(UnsupportedImage, match=attribute) as refusal:
        read_study(paths)
    assert not any(word in str(refusal.value) for word in ("CANARY", "SOMEBODY", "ANOTHER"))
    if same_series:
        with pytest.raises(UnsupportedImage, match=attribute):
            read_series(paths)


def test_one_patient_written_in_two_ways_is_one_patient(tmp_path: Path) -> None:
    study = generate_uid()
    first, second, third = mr_image(study), mr_image(study), mr_image(study)
    second.PatientName, second.PatientID = "canary^patient^^^ ", " CANARY-ID"
    third.PatientName, third.PatientID = "CANARY^PATIENT=\u5c71\u7530", ""
    third.SpecificCharacterSet = "ISO_IR 192"
    assert len(read_study(written(tmp_path, first, second, third))) == 3
