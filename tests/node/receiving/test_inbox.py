import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from sqlalchemy import text

from inference.errors import ConflictingInstance, MismatchedInstance, StorageFull, Unavailable, UnreadableInstance
from node.receiving.inbox import Outcome
from node.receiving.inspection import inspect
from node.receiving.quarantine import Quarantine
from reports.objects.equipment import IMPLEMENTATION_CLASS_UID

from .intake import Intake, arrival, compressed, encode, mr_image, with_meta


def test_what_is_kept_is_what_was_sent_byte_for_byte(intake: Intake) -> None:
    image = mr_image()
    receipt = intake.inbox.keep(arrival(image))
    assert receipt.outcome is Outcome.STORED
    assert receipt.instance is not None
    written = (intake.home / "inbox" / receipt.instance.path).read_bytes()
    assert written.endswith(encode(image))
    assert written[:132] == b"\0" * 128 + b"DICM"
    read = dcmread(intake.home / "inbox" / receipt.instance.path)
    assert read.file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert read.file_meta.SourceApplicationEntityTitle == "SENDER"
    assert read.file_meta.MediaStorageSOPInstanceUID == image.SOPInstanceUID
    assert (read.pixel_array == image.pixel_array).all()


def test_files_are_readable_by_the_owner_alone_and_named_by_nothing_sent(intake: Intake) -> None:
    image = mr_image()
    intake.inbox.keep(arrival(image))
    (path,) = intake.files()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o077 == 0
    assert image.SOPInstanceUID not in path.name


@pytest.mark.parametrize("times", [2, 3])
def test_the_same_instance_again_is_a_success_that_changes_nothing(intake: Intake, times: int) -> None:
    image = mr_image()
    first = intake.inbox.keep(arrival(image))
    for _ in range(times - 1):
        again = intake.inbox.keep(arrival(image))
        assert again == replace(again, outcome=Outcome.DUPLICATE, instance=first.instance)
    assert len(intake.files()) == len(intake.rows()) == 1
    assert intake.events() == []


def test_the_same_instance_sent_20_times_in_parallel_is_one_file_and_one_row(intake: Intake) -> None:
    sent = arrival(mr_image())
    with ThreadPoolExecutor(20) as pool:
        outcomes = [receipt.outcome for receipt in pool.map(intake.inbox.keep, [sent] * 20)]
    assert sorted(outcomes) == [Outcome.DUPLICATE] * 19 + [Outcome.STORED]
    assert len(intake.files()) == len(intake.rows()) == 1


def test_two_contents_of_one_uid_at_once_keep_exactly_one(intake: Intake) -> None:
    image, other = mr_image(seed=1), mr_image(seed=2)
    other.SOPInstanceUID = image.SOPInstanceUID

    def keep(sent: object) -> str:
        try:
            return intake.inbox.keep(sent).outcome  # type: ignore[arg-type]
        except ConflictingInstance:
            return "conflict"

    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(pool.map(keep, [arrival(image), arrival(other)]))
    assert outcomes == ["conflict", "stored"]
    assert len(intake.files()) == len(intake.rows()) == len(intake.quarantined()) == 1


def test_other_bytes_under_a_known_uid_keep_the_first_and_set_the_second_aside(intake: Intake) -> None:
    image = mr_image(seed=1)
    other = mr_image(image.StudyInstanceUID, seed=2, series=image.SeriesInstanceUID)
    other.SOPInstanceUID = image.SOPInstanceUID
    intake.inbox.keep(arrival(image))
    before = intake.files()[0].read_bytes()
    with pytest.raises(ConflictingInstance):
        intake.inbox.keep(arrival(other))
    assert [path.read_bytes() for path in intake.files()] == [before]
    (reason,) = intake.quarantined()
    assert "with other pixels" in json.loads(reason.read_text())["reason"]
    assert reason.with_suffix(".bin").read_bytes() == encode(other)
    assert intake.events() == ["quarantined"]


def test_an_original_image_of_our_own_manufacturer_is_still_analysed(intake: Intake) -> None:
    phantom = mr_image()
    phantom.Manufacturer = "heatproof"
    assert intake.inbox.keep(arrival(phantom)).outcome is Outcome.STORED


@pytest.mark.parametrize(
    "uid", ["../../x", "/etc/passwd", "..", "1.2\n3", "1.2\\3", "1.2\0/3", "1." * 32 + "1", "", "1.2.", "\uff11.\uff12"]
)
def test_an_identifier_that_is_no_uid_never_touches_the_file_system(intake: Intake, uid: str) -> None:
    image = mr_image()
    before = set(intake.home.parent.rglob("*"))
    with pytest.raises(UnreadableInstance):
        intake.inbox.keep(arrival(image, sop_instance_uid=uid or "\0"))
    new = set(intake.home.parent.rglob("*")) - before
    assert {path.parent.name for path in new} == {"quarantine"}
    assert all(set(path.stem) <= set("0123456789abcdef") for path in new)
    assert intake.files() == intake.rows() == []


def test_a_command_set_that_names_another_instance_is_mismatched(intake: Intake) -> None:
    with pytest.raises(MismatchedInstance):
        intake.inbox.keep(arrival(mr_image(), sop_instance_uid="1.2.3"))
    with pytest.raises(MismatchedInstance):
        intake.inbox.keep(replace(arrival(mr_image()), sop_class_uid="1.2.840.10008.5.1.4.1.1.2"))


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID"])
def test_an_instance_that_does_not_say_where_it_belongs_is_refused(intake: Intake, keyword: str) -> None:
    image = mr_image()
    sent = arrival(image)
    del image[keyword]
    with pytest.raises(UnreadableInstance, match="it has no"):
        intake.inbox.keep(replace(sent, encoded=encode(image)))


@pytest.mark.parametrize("make", [mr_image, lambda: compressed(mr_image())], ids=["native", "encapsulated"])
@pytest.mark.parametrize("implicit", [False, True])
def test_an_instance_cut_anywhere_is_refused(make: object, implicit: bool) -> None:
    image = make()  # type: ignore[operator]
    if implicit and not image.file_meta.TransferSyntaxUID.is_encapsulated:
        image = with_meta(image, ImplicitVRLittleEndian)
    whole = arrival(image)
    inspect(whole)
    for length in range(0, len(whole.encoded), 7):
        with pytest.raises(UnreadableInstance):
            inspect(replace(whole, encoded=whole.encoded[:length]))


@pytest.mark.parametrize(
    ("keyword", "value"), [("NumberOfFrames", 2), ("NumberOfFrames", 2**31 - 1), ("Rows", 33), ("BitsAllocated", 8)]
)
def test_pixel_data_that_is_not_what_the_header_says_is_refused(keyword: str, value: int) -> None:
    image = mr_image()
    setattr(image, keyword, value)
    with pytest.raises(UnreadableInstance, match="bytes of pixel data where"):
        inspect(arrival(image))


def test_padding_after_the_last_frame_is_not_held_against_an_image() -> None:
    image = mr_image()
    image.PixelData = image.PixelData + b"\0" * 128
    assert inspect(arrival(image)).sop_instance_uid == image.SOPInstanceUID


def test_fewer_fragments_than_frames_are_refused() -> None:
    image = compressed(mr_image())
    image.NumberOfFrames = 2
    with pytest.raises(UnreadableInstance, match="1 fragments of pixel data for 2 frames"):
        inspect(arrival(image))


def test_one_byte_of_padding_after_odd_pixel_data_is_let_pass() -> None:
    image = mr_image(size=3)
    image.BitsAllocated, image.BitsStored, image.HighBit = 8, 8, 7
    image.PixelData = bytes(10)
    assert inspect(arrival(image)).sop_instance_uid == image.SOPInstanceUID


def test_an_object_without_pixels_is_kept(intake: Intake) -> None:
    image = mr_image()
    for keyword in ("Rows", "Columns", "PixelData", "BitsAllocated"):
        del image[keyword]
    assert intake.inbox.keep(arrival(image)).outcome is Outcome.STORED


WHOLE = arrival(mr_image(size=8))
PACKED = arrival(compressed(mr_image(size=8)))


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")  # what pydicom says about the damage that is done here
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from([WHOLE, PACKED]),
    st.lists(st.tuples(st.integers(0, 900), st.binary(max_size=6)), min_size=1, max_size=4),
)
@example(WHOLE, [(0, b"\x08\x00\x05\x00CS")])
def test_damaged_bytes_are_refused_and_never_anything_worse(whole: object, changes: list[tuple[int, bytes]]) -> None:
    damaged = bytearray(whole.encoded)  # type: ignore[attr-defined]
    for position, content in changes:
        damaged[position : position + len(content)] = content
    with contextlib.suppress(UnreadableInstance, MismatchedInstance):
        inspect(replace(whole, encoded=bytes(damaged)))  # type: ignore[type-var]


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
@given(st.binary(max_size=400))
def test_bytes_that_are_no_data_set_are_refused(garbage: bytes) -> None:
    with pytest.raises(UnreadableInstance):
        inspect(replace(WHOLE, encoded=garbage))


def test_too_little_free_space_refuses_and_takes_again_by_itself(intake: Intake) -> None:
    intake.inbox._minimum_free_bytes = 1 << 60
    with pytest.raises(StorageFull):
        intake.inbox.keep(arrival(mr_image()))
    assert intake.files() == intake.rows() == []
    intake.inbox._minimum_free_bytes = 0
    assert intake.inbox.keep(arrival(mr_image())).outcome is Outcome.STORED


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = os.geteuid() == 0 and not subprocess.call(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], stderr=subprocess.DEVNULL
    )
    if not mounted:
        pytest.skip("mounting a tmpfs is not permitted here")
    yield folder
    subprocess.check_call(["umount", "-l", str(folder)])


def image_of(size_bytes: int) -> Dataset:
    """An image whose data set has nearly so many bytes."""
    image = mr_image()
    image.ImageComments = " " * (size_bytes - len(encode(image)) - 12) + "end"
    assert size_bytes - 16 <= len(encode(image)) <= size_bytes
    return image


def test_a_full_disk_is_answered_with_a700_and_leaves_nothing_half_written(tiny_disk: Path, tmp_path: Path) -> None:
    intake = Intake(tiny_disk / "home", store=tmp_path)
    intake.listener.start()
    small, large = [mr_image(seed=seed) for seed in range(3)], mr_image(size=800)
    association = intake.associate(small[0])
    statuses = [association.send_c_store(image).Status for image in (small[0], large, small[1])]
    assert statuses == [0x0000, 0xA700, 0x0000]
    assert len(intake.files()) == len(intake.rows()) == 2
    ballast = tiny_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    assert association.send_c_store(small[2]).Status == 0xA700
    assert len(intake.files()) == len(intake.rows()) == 2
    os.truncate(ballast, ballast.stat().st_size - 8192)  # room for the data set, and not for the file around it
    answer = association.send_c_store(image_of(8192 - 50))
    assert (answer.Status, answer.ErrorComment) == (0xA700, "The disk is full.")
    assert len(intake.files()) == len(intake.rows()) == 2
    ballast.unlink()
    assert association.send_c_store(small[2]).Status == 0x0000
    assert association.is_established
    association.release()
    intake.close()


def test_a_store_that_takes_no_row_leaves_no_file(intake: Intake) -> None:
    with intake.engine.begin() as connection:
        connection.execute(
            text("CREATE TRIGGER broken BEFORE INSERT ON instances BEGIN SELECT RAISE(ABORT, 'no'); END")
        )
    with pytest.raises(Unavailable):
        intake.inbox.keep(arrival(mr_image()))
    assert intake.files() == []


def test_the_sweep_removes_what_a_crash_left_and_nothing_else(intake: Intake) -> None:
    intake.inbox.keep(arrival(mr_image()))
    kept = intake.files()
    (intake.home / "inbox" / f"{'0' * 32}.part").write_bytes(b"half")
    (intake.home / "inbox" / f"{'0' * 32}.dcm").write_bytes(b"whole, but without a row")
    assert intake.inbox.sweep() == 2
    assert intake.files() == kept


def test_the_quarantine_stays_below_its_ceiling_and_drops_the_oldest(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "quarantine", minimum_free_bytes=0, maximum_bytes=10_000)
    sent = replace(WHOLE, encoded=bytes(3_000))
    names = [quarantine.keep(sent, "reason") for _ in range(6)]
    left = sorted((tmp_path / "quarantine").iterdir())
    assert sum(path.stat().st_size for path in left) <= 10_000
    assert names[-1] in {path.stem for path in left}
    assert names[0] not in {path.stem for path in left}
