"""Real data sets, damaged at random: each is kept whole or refused, in bounded time, and the node goes on.

HEATPROOF_FUZZ_EXCHANGES says how many are tried, half of them over associations; every draw is seeded.
"""

import contextlib
import os
import random
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.filereader import read_file_meta_info

from inference.errors import Refused, UnreadableInstance
from inference.reading.decoding import DecodingProcess
from inference.reading.instance import read_file
from inference.reading.series import read_stack, survey_series
from node.receiving.inspection import Arrival, inspect
from node.receiving.part10 import file_head as head_of
from node.store import now
from node.studies.instance import Instance
from tests.hostile.byte_sender import ByteSender
from tests.node.receiving.intake import Intake
from tests.patience import patient

EXCHANGES = int(os.environ.get("HEATPROOF_FUZZ_EXCHANGES", "250"))
NAMES = (
    "MR_small.dcm", "MR_small_implicit.dcm", "MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "CT_small.dcm",
    "emri_small_jpeg_ls_lossless.dcm", "test-SR.dcm", "ExplVR_BigEnd.dcm", "liver_1frame.dcm", "JPGExtended.dcm",
)  # fmt: skip
INTERESTING = (
    *(struct.pack(order, value) for order in ("<H", "<L", ">L") for value in (0, 1, 0x7FFF, 0xFFFE, 0xFFFF)),
    b"\xff\xff\xff\xff", b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0", b"SQ\0\0", b"UN\0\0",
    b"OB\0\0", b"\xe0\x7f\x10\x00", b"\x28\x00\x10\x00", b"\x02\x00\x10\x00", b"\0" * 64,
)  # fmt: skip
"""Bytes that mean something where they happen to fall: lengths, items, delimiters, VRs, tags."""


def arrival(name: str) -> Arrival:
    path = Path(str(get_testdata_file(name, download=False)))
    meta = read_file_meta_info(path)
    encoded = path.read_bytes()[132 + 12 + meta.FileMetaInformationGroupLength :]
    uids = (str(meta.MediaStorageSOPClassUID), str(meta.MediaStorageSOPInstanceUID), str(meta.TransferSyntaxUID))
    return Arrival(*uids, encoded, "FUZZ", "127.0.0.1", now())


WHOLE = tuple(arrival(name) for name in NAMES)


def damaged(encoded: bytes, draw: random.Random) -> bytes:
    """Overwrite, insert, remove, repeat or cut, a few times, mostly in the header."""
    content = bytearray(encoded)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(min(len(content), 2000 if draw.random() < 0.8 else len(content)) or 1)
        size = draw.choice((1, 2, 4, 8, 100))
        match draw.randrange(6):
            case 0:
                content[at : at + 1] = bytes([draw.randrange(256)])
            case 1:
                piece = draw.choice(INTERESTING)
                content[at : at + len(piece)] = piece
            case 2:
                content[at:at] = draw.choice(INTERESTING)
            case 3:
                del content[at : at + size]
            case 4:
                content[at:at] = content[at : at + size] * draw.choice((1, 2, 50))
            case _:
                del content[draw.randrange(len(content) or 1) :]
    return bytes(content)


@pytest.fixture(scope="module")
def process() -> Iterator[DecodingProcess]:
    with DecodingProcess() as made:
        yield made


@pytest.mark.parametrize("whole", WHOLE, ids=NAMES)
def test_undamaged_each_of_them_is_let_in(whole: Arrival) -> None:
    assert inspect(whole).sop_instance_uid == whole.sop_instance_uid


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
@seed(20261122)
@settings(max_examples=EXCHANGES // 2, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(whole=st.sampled_from(WHOLE), number=st.integers(0, 1 << 30))
def test_a_damaged_data_set_is_refused_or_can_be_read_by_what_comes_after(
    process: DecodingProcess, tmp_path_factory: pytest.TempPathFactory, whole: Arrival, number: int
) -> None:
    """What the door lets in, the reader of pixels takes or refuses with a reason: nothing else."""
    sent = replace(whole, encoded=damaged(whole.encoded, random.Random(number)))
    started = time.monotonic()
    try:
        header = inspect(sent)
    except Refused:
        assert time.monotonic() - started < patient(2)
        return
    path = tmp_path_factory.getbasetemp() / "let-in.dcm"
    path.write_bytes(file_head(sent) + sent.encoded)
    with contextlib.suppress(UnreadableInstance):
        file = read_file(path)
        assert file.sop_instance_uid == header.sop_instance_uid
        stacks, apart = survey_series([file])
        images = [read_stack(stack, apart, process) for stack in stacks]
        assert all(entry.reason for entry in (*apart, *(entry for _, lost in images for entry in lost)))
        assert apart or images


def file_head(sent: Arrival) -> bytes:
    """What the inbox writes before it."""
    syntax, uid = sent.transfer_syntax_uid, sent.sop_instance_uid
    return head_of(Instance(sent.sop_class_uid, uid, "1", "1", syntax, "", 0, "", "FUZZ", "127.0.0.1", now()))


@pytest.fixture(scope="module")
def listening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Intake]:
    intake = Intake(tmp_path_factory.mktemp("fuzz"))
    intake.listener.start()
    yield intake
    intake.close()


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_damaged_data_sets_over_associations_leave_the_node_as_quick_and_as_small(listening: Intake) -> None:
    draw = random.Random(20261122)
    by_class: dict[tuple[str, str], ByteSender] = {}
    answers: dict[int, int] = {}
    threads = descriptors = 0
    for number in range(EXCHANGES // 2):
        whole = draw.choice(WHOLE)
        key = (whole.sop_class_uid, whole.transfer_syntax_uid)
        if key not in by_class:
            by_class[key] = ByteSender(listening.listener.port, key[1], storage_class=key[0])
        encoded = damaged(whole.encoded, draw) or b"\0"
        answer = by_class[key].store(encoded, instance=whole.sop_instance_uid, syntax=key[1])
        answers[answer.Status] = answers.get(answer.Status, 0) + 1
        assert answer.Status in (0x0000, 0x0111, 0xA900, 0xC000)
        if number == EXCHANGES // 4:
            threads, descriptors = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
    started = time.monotonic()
    assert next(iter(by_class.values())).echo() == 0x0000
    assert time.monotonic() - started < patient(1)
    assert threading.active_count() <= threads + 2
    assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors + 4
    for sender in by_class.values():
        sender.__exit__(None, None, None)
    assert len(listening.files()) == len(listening.rows()) <= len(WHOLE)
    assert answers[0xC000] > sum(answers.values()) // 4
    for path in listening.files():
        assert dcmread(BytesIO(path.read_bytes())).SOPInstanceUID in {whole.sop_instance_uid for whole in WHOLE}
