"""One budget of memory for what is being received, for the node and for each peer; a status for every C-STORE."""

import gc
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from node.associations import messages
from node.associations.shares import Shares
from node.settings.node import NodeSettings
from tests.hostile.footprint import footprint, settled
from tests.hostile.raw_peer import (
    ECHO_CONTEXT,
    IMAGE_CONTEXT,
    P_DATA,
    RawPeer,
    command,
    echo_seconds,
    even,
    fragment,
    store_command,
)
from tests.hostile.raw_peer import MR_IMAGE as MR_CLASS
from tests.node.receiving.intake import Intake, encode, mr_image
from tests.patience import patient, wait_until

MEBIBYTE = 1 << 20
OTHER = "127.0.0.2"


@pytest.fixture
def small(node: Intake, monkeypatch: pytest.MonkeyPatch) -> Shares:
    """The node with 24 MiB for what it receives, 16 MiB of them for one peer."""
    shares = Shares(24 * MEBIBYTE, 16 * MEBIBYTE)
    monkeypatch.setattr(node.listener._acceptor, "_memory", shares)
    monkeypatch.setattr(messages, "MESSAGE_SECONDS", patient(60))
    return shares


@pytest.fixture
def many() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def status_of(content: bytes) -> int:
    """Status (0000,0900) of a response."""
    at = content.index(struct.pack("<HHL", 0, 0x0900, 2))
    return int(struct.unpack_from("<H", content, at + 8)[0])


def unfinished(stack: ExitStack, port: int, mebibytes: int, source: str = "127.0.0.1") -> RawPeer:
    """A peer that has sent so much of a message, and no end of it."""
    peer = stack.enter_context(RawPeer(port, source=source)).associate()
    peer.send(store_command())
    for _ in range(8 * mebibytes):
        peer.send(fragment(IMAGE_CONTEXT, 0, bytes(MEBIBYTE // 8 - 20)))
    return peer


def test_unfinished_messages_of_one_peer_stay_within_its_share_and_others_are_served(
    port: int, small: Shares, many: ExitStack
) -> None:
    before = footprint()
    greedy = [unfinished(many, port, 8) for _ in range(6)]
    wait_until(lambda: small.taken >= 12 * MEBIBYTE, 5, "the use of the share")
    assert small.taken <= 16 * MEBIBYTE
    assert footprint().resident_bytes - before.resident_bytes < 40 * MEBIBYTE
    assert echo_seconds(port, source=OTHER) < patient(2)
    statuses = []
    for peer in greedy:
        kind, content = peer.send(fragment(IMAGE_CONTEXT, 2, b"\0" * 8)).answer()
        assert kind == P_DATA
        statuses.append(status_of(content))
    assert 0xA700 in statuses
    assert set(statuses) <= {0xA700, 0xA900, 0xC000}
    many.close()
    settled(before)
    wait_until(lambda: small.taken == 0, 5, "the end of what was held")


def test_a_process_holds_about_what_its_budget_says(
    node: Intake, port: int, many: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = Shares(128 * MEBIBYTE, 96 * MEBIBYTE)
    monkeypatch.setattr(node.listener._acceptor, "_memory", shares)
    before = footprint()
    for _ in range(12):
        unfinished(many, port, 24)
    wait_until(lambda: shares.taken >= 64 * MEBIBYTE, 5, "the use of the share")
    assert footprint().resident_bytes - before.resident_bytes < 2 * 96 * MEBIBYTE  # of 288 sent; 1.3 x 96 as a rule
    many.close()
    settled(before)
    wait_until(lambda: shares.taken == 0, 5, "the end of what was held")


def test_a_message_that_was_refused_for_memory_is_taken_when_it_is_sent_again(
    node: Intake, small: Shares, many: ExitStack
) -> None:
    image = mr_image(size=1500)  # 4.3 MiB
    holding = [unfinished(many, node.listener.port, 8, "127.0.0.1"), unfinished(many, node.listener.port, 13, OTHER)]
    wait_until(lambda: small.taken >= 20 * MEBIBYTE, 5, "the use of the memory")
    assert node.send(image) == [0xA700]
    for peer in holding:
        peer.socket.close()
    wait_until(lambda: small.taken == 0, 5, "the end of what was held")
    assert node.send(image) == [0x0000]
    assert encode(image)


def test_a_message_that_drips_is_cut_though_every_pdu_is_in_time(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "MESSAGE_SECONDS", patient(0.2))
    with RawPeer(port) as peer:
        peer.associate().send(store_command())
        started = time.monotonic()
        with suppress(OSError):
            while time.monotonic() - started < patient(5):
                peer.send(fragment(IMAGE_CONTEXT, 0, b"\0\0"))
                time.sleep(0.02)
        assert peer.is_closed_within(1)
    assert echo_seconds(port) < patient(1)


INVALID = {
    "no SOP Instance UID": ((0x0002, even(MR_CLASS)), (0x0110, b"\1\0"), (0x0700, b"\0\0"), (0x1000, b"")),
    "no SOP Class UID": ((0x0110, b"\1\0"), (0x0700, b"\0\0"), (0x1000, even(b"1.2.3"))),
    "no priority": ((0x0002, even(MR_CLASS)), (0x0110, b"\1\0"), (0x1000, even(b"1.2.3"))),
}


@pytest.mark.parametrize("what", INVALID)
def test_a_store_request_without_what_it_needs_is_answered_at_once(port: int, what: str) -> None:
    elements = sorted([(0x0100, b"\1\0"), (0x0800, b"\1\0"), *INVALID[what]])
    with RawPeer(port) as peer:
        peer.associate().send(fragment(IMAGE_CONTEXT, 3, command(*elements)) + fragment(IMAGE_CONTEXT, 2, bytes(8)))
        kind, content = peer.answer()
        assert kind == P_DATA
        assert status_of(content) == 0xC000
    assert echo_seconds(port) < patient(1)


def test_shares_never_give_more_than_there_is_and_take_everything_back() -> None:
    shares = Shares(10, 6)
    first, second, third = shares.lease("a"), shares.lease("a"), shares.lease("b")
    assert first.hold(4)
    assert not second.hold(3)
    assert second.hold(2)
    assert not third.hold(5)
    assert third.hold(4)
    assert not first.hold(5)
    for lease in (first, second, third):
        lease.release()
        lease.release()
    assert shares.taken == 0


def test_a_budget_that_no_message_fits_into_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must not fall"):
        NodeSettings(home=tmp_path, receiving_mebibytes_per_peer=256)


def creation(stack: ExitStack, port: int) -> RawPeer:
    """A peer that has sent the command set of N-CREATE, whose data set is decoded."""
    elements = ((0x0002, b"1.2.3\0"), (0x0100, b"\x40\1"), (0x0110, b"\1\0"), (0x0800, b"\1\0"), (0x1000, b"1.2.3\0"))
    return stack.enter_context(RawPeer(port)).associate().send(fragment(ECHO_CONTEXT, 3, command(*elements)))


def test_a_data_set_that_is_decoded_counts_as_what_it_becomes(port: int, small: Shares, many: ExitStack) -> None:
    peer = creation(many, port).send(fragment(ECHO_CONTEXT, 0, bytes(120_000)))
    wait_until(lambda: small.taken >= 9 * MEBIBYTE, 5, "what is counted for it")
    peer.send(fragment(ECHO_CONTEXT, 2, bytes(120_000)))  # more than the share of a peer
    assert peer.is_closed_within(2)
    wait_until(lambda: small.taken == 0, 5, "the end of what was held")


def test_a_data_set_that_is_decoded_is_short(
    node: Intake, port: int, many: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node.listener._acceptor, "_memory", Shares(1 << 40, 1 << 40))
    peer = creation(many, port)
    with suppress(OSError):
        for _ in range(1 + messages.MAXIMUM_ATTRIBUTES_BYTES // 100_000):
            peer.send(fragment(ECHO_CONTEXT, 0, bytes(100_000)))
    assert peer.is_closed_within(2)


@pytest.fixture
def no_collections() -> Iterator[None]:
    """Python's collections of cyclic garbage come rarely in a process with many objects; here none comes at all."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collections")
def test_memory_of_associations_that_ended_inside_a_message_is_given_back(port: int, small: Shares) -> None:
    before = footprint()
    for _ in range(20):
        with ExitStack() as stack:
            unfinished(stack, port, 8)
            wait_until(lambda: small.taken >= 7 * MEBIBYTE, 5, "the message")
        wait_until(lambda: small.taken == 0, 5, "the end of the association")
    assert settled(before).resident_bytes - before.resident_bytes < 80 * MEBIBYTE  # of 160


@pytest.mark.usefixtures("no_collections", "small")
def test_an_association_that_is_idle_does_not_keep_its_last_message(port: int, many: ExitStack) -> None:
    before = footprint()
    for _ in range(15):
        kind, content = unfinished(many, port, 8).send(fragment(IMAGE_CONTEXT, 2, bytes(8))).answer()
        assert (kind, status_of(content)) == (P_DATA, 0xC000)
    assert footprint().resident_bytes - before.resident_bytes < 60 * MEBIBYTE  # of 120
