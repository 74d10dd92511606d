"""Sessions of a peer that says almost the right thing: PDUs with bytes changed, cut, doubled or moved (row 8)."""

import logging
import os
import random
import socket
import struct
import time

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.hostile.footprint import footprint, settled
from tests.hostile.raw_peer import (
    ABORT,
    ASSOCIATE_AC,
    CONTEXTS,
    DEFLATED,
    IMAGE_CONTEXT,
    RELEASE_RQ,
    VERIFICATION,
    RawPeer,
    echo_request,
    echo_seconds,
    fragment,
    identity,
    pdu,
    request,
    store_command,
    user,
)
from tests.patience import patient

EXCHANGES = int(os.environ.get("HEATPROOF_FUZZ_EXCHANGES", "250"))
REQUESTS = (
    request(),
    request([*CONTEXTS, (5, VERIFICATION, (DEFLATED,))], users=user(further=identity(2, b"user", b"secret"))),
    request([(2 * n + 1, VERIFICATION, (DEFLATED,)) for n in range(40)]),
)
MESSAGES = (
    echo_request(),
    store_command() + fragment(IMAGE_CONTEXT, 2, b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100"),
    fragment(IMAGE_CONTEXT, 0, bytes(200)) + store_command(),
    pdu(RELEASE_RQ, bytes(4)),
    pdu(ABORT, bytes(4)),
    pdu(ASSOCIATE_AC, request()[6:]),
    request(),
)
SESSION = {
    "asked": st.sampled_from(REQUESTS),
    "messages": st.lists(st.sampled_from(MESSAGES), min_size=1, max_size=4),
    "number": st.integers(0, 2**32),
    "changes": st.integers(0, 8),
    "late": st.booleans(),
    "rude": st.booleans(),
}
PROFILE = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
CHUNK = 250
INTERESTING = (b"\0", b"\xff", b"\x7f", b"\x80", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x01", b"\xff\xfe\xff\xfe")


def mutated(content: bytes, number: int, changes: int) -> bytes:
    """The same bytes with so many seeded changes."""
    dice, changed = random.Random(number), bytearray(content)
    for _ in range(changes):
        place = dice.randrange(len(changed) + 1)
        end = min(len(changed), place + dice.randrange(1, 64))
        match dice.randrange(6):
            case 0:
                changed[place:end] = b""
            case 1:
                changed[place:place] = changed[place:end]
            case 2:
                value = dice.choice(INTERESTING)
                changed[place : place + len(value)] = value
            case 3:
                changed[place:place] = dice.randbytes(dice.randrange(1, 40))
            case 4 if place < len(changed):
                changed[place] ^= 1 << dice.randrange(8)
            case _:
                changed[2:6] = struct.pack(
                    ">L", dice.choice((0, 1, 3, 69, 70, 1 << 17, 1 << 18, 1 << 31, len(changed)))
                )
    return bytes(changed)


def exchange(port: int, asked: bytes, messages: list[bytes], *, rude: bool) -> None:
    with RawPeer(port, seconds=2 if asked in REQUESTS else 0.02) as peer:  # a broken request may never be answered
        try:
            peer.send(asked)
            if messages and peer.answer()[0] == ASSOCIATE_AC:
                for message in messages:
                    peer.send(message)
        except OSError:
            pass
        if rude:  # a reset in the place of an end
            peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def fuzz(port: int, *, asked: bytes, messages: list[bytes], number: int, changes: int, late: bool, rude: bool) -> None:
    if late:
        messages = [mutated(message, number + place, changes) for place, message in enumerate(messages)]
    else:
        asked = mutated(asked, number, changes)
    exchange(port, asked, messages, rude=rude)


@pytest.fixture
def unheard(monkeypatch: pytest.MonkeyPatch) -> None:
    """What libraries say of broken bytes: pytest would keep each word of it, with all its frames."""
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)


@pytest.mark.usefixtures("unheard")
@pytest.mark.filterwarnings("ignore")  # of pydicom, about broken values
def test_after_thousands_of_mutated_sessions_the_next_echo_is_answered_and_nothing_grew(port: int) -> None:
    for _ in range(5):
        echo_seconds(port)
    before = footprint()

    started = time.monotonic()
    for chunk in range(0, EXCHANGES, CHUNK):  # hypothesis remembers what it drew, and forgets it between the chunks
        seed(chunk)(settings(PROFILE, max_examples=min(CHUNK, EXCHANGES - chunk))(given(**SESSION)(fuzz)))(port=port)
    assert echo_seconds(port) < patient(1)
    after = settled(before, seconds=20)
    growth = after.resident_bytes - before.resident_bytes
    print(f"{EXCHANGES} exchanges in {time.monotonic() - started:.1f} s, {growth >> 10} KiB more resident")
    assert growth < 24 << 20
