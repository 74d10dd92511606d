"""What a peer may do to an association, and what it must not do to anybody else (rows 2, 4 to 7 and 9 to 12)."""

import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from node.associations import admission, association, connection, entrance
from node.associations.connection import MAXIMUM_PDU_BYTES
from node.associations.request import MAXIMUM_REQUEST_BYTES, Refusal
from tests.hostile.footprint import footprint, seconds_of, settled
from tests.hostile.raw_peer import (
    ABORT,
    APPLICATION,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    ASSOCIATE_RQ,
    CONTEXTS,
    DEFLATED,
    ECHO_CONTEXT,
    EXPLICIT,
    IMAGE_CONTEXT,
    IMPLICIT,
    MR_IMAGE,
    P_DATA,
    RELEASE_RQ,
    VERIFICATION,
    RawPeer,
    context,
    echo_request,
    echo_seconds,
    fragment,
    item,
    pdu,
    request,
    request_body,
    store_command,
    user,
)
from tests.node.receiving.intake import Intake
from tests.patience import patient, wait_until

OTHER = "127.0.0.2"


def last_refusal(node: Intake) -> Refusal:
    return node.refusals.latest(1)[0]


@pytest.fixture
def many(port: int) -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize(
    ("called", "reason"),
    [(b"SOMEBODY", 7), (b"../../etc/passwd", 7), (b"A;rm -rf x", 7), (b"A\nB", 7), (b"\xff\xfe", 7), (b" ", 7)],
)
def test_a_called_title_that_is_not_ours_is_rejected_with_reason_7(port: int, called: bytes, reason: int) -> None:
    with RawPeer(port) as peer:
        assert peer.send(request(called=called)).answer() == (ASSOCIATE_RJ, bytes((0, 1, 1, reason)))


@pytest.mark.parametrize("calling", [b"A\nINJECT", b"\xff\xfe", b"A\\B", b"", b"\x1b[31m"])
def test_a_calling_title_that_is_none_is_rejected_with_reason_3(node: Intake, calling: bytes) -> None:
    with RawPeer(node.listener.port) as peer:
        assert peer.send(request(calling=calling)).answer() == (ASSOCIATE_RJ, bytes((0, 1, 1, 3)))
    assert last_refusal(node).calling_ae_title.isprintable()


@pytest.mark.parametrize(
    ("called", "words"),
    [
        (b"HEATPROF", "differs from HEATPROOF by one letter"),
        (b"heatproof", "in upper and lower case"),
        (b"PACS", "not that of this node"),
    ],
)
def test_a_refused_title_is_recorded_with_its_cure(node: Intake, called: bytes, words: str) -> None:
    with RawPeer(node.listener.port) as peer:
        peer.send(request(called=called)).answer()
    refusal = last_refusal(node)
    assert words in refusal.problem
    assert "HEATPROOF" in refusal.cure
    assert (refusal.result, refusal.source, refusal.reason) == (1, 1, 7)
    assert refusal.called_ae_title == called.decode()
    assert refusal.offers[0].abstract_syntax == VERIFICATION.decode()


@pytest.mark.parametrize("kind", [ASSOCIATE_RQ, P_DATA, 0x99])
def test_a_first_pdu_of_4_gib_costs_no_memory_and_is_cut_at_once(port: int, kind: int) -> None:
    before = footprint()
    with RawPeer(port) as peer:
        started = time.monotonic()
        sent = 0
        try:
            peer.send(struct.pack(">BBL", kind, 0, 0xFFFFFFFF))
            while sent < 64 << 20:
                peer.send(bytes(1 << 16))
                sent += 1 << 16
        except OSError:
            pass
        assert time.monotonic() - started < patient(8)
        assert echo_seconds(port) < patient(1)
    assert footprint().resident_bytes - before.resident_bytes < 5 << 20


@pytest.mark.parametrize("length", [MAXIMUM_REQUEST_BYTES + 1, 0xFFFFFFFF])
def test_a_request_that_is_too_long_is_aborted_with_reason_6(port: int, length: int) -> None:
    with RawPeer(port) as peer:
        assert peer.send(struct.pack(">BBL", ASSOCIATE_RQ, 0, length)).answer() == (ABORT, bytes((0, 0, 2, 6)))


@pytest.mark.parametrize("length", [MAXIMUM_PDU_BYTES + 1, 0xFFFFFFFF])
def test_p_data_longer_than_negotiated_is_aborted_with_reason_6(port: int, length: int) -> None:
    before = footprint()
    with RawPeer(port) as peer:
        peer.associate()
        assert peer.send(struct.pack(">BBL", P_DATA, 0, length)).answer() == (ABORT, bytes((0, 0, 2, 6)))
        assert peer.is_closed_within(1)
    assert settled(before).resident_bytes - before.resident_bytes < 5 << 20


MALFORMED = {
    "no context": request([]),
    "an even id": request([(2, VERIFICATION, (IMPLICIT,))]),
    "id 0": request([(0, VERIFICATION, (IMPLICIT,))]),
    "the same id twice": request([(1, VERIFICATION, (IMPLICIT,)), (1, MR_IMAGE, (EXPLICIT,))]),
    "129 contexts": request([((2 * n + 1) % 256, VERIFICATION, (IMPLICIT,)) for n in range(129)]),
    "1,000 contexts": request([((2 * n + 1) % 256, VERIFICATION, (IMPLICIT,)) for n in range(1000)]),
    "no transfer syntax": request([(1, VERIFICATION, ())]),
    "no abstract syntax": request([], further=item(0x20, bytes((1, 0, 0, 0)) + item(0x40, IMPLICIT))),
    "two abstract syntaxes": request(
        [], further=item(0x20, bytes((1, 0, 0, 0)) + item(0x30, VERIFICATION) * 2 + item(0x40, IMPLICIT))
    ),
    "an item longer than the PDU": request(further=item(0x20, b"", length=0xFFFF)),
    "an item longer than its context": request(
        [], further=item(0x20, bytes((1, 0, 0, 0)) + item(0x30, VERIFICATION, length=500))
    ),
    "half an item": request(further=b"\x20"),
    "a UID of 65 characters": request([(1, b"1." + b"2" * 63, (IMPLICIT,))]),
    "a UID with a path": request([(1, b"../../etc/passwd", (IMPLICIT,))]),
    "two application contexts": request(further=item(0x10, APPLICATION)),
    "no user information": request(users=b""),
    "no maximum length": request(users=item(0x50, item(0x52, b"1.2.3"))),
    "PDUs of 7 bytes": request(users=user(longest=7)),
    "a user identity cut short": request(users=user(further=item(0x58, b"\x02\x00\x00\xff"))),
    "fixed fields cut short": pdu(ASSOCIATE_RQ, request_body()[:60]),
    "nothing": pdu(ASSOCIATE_RQ, b""),
    "P-DATA first": echo_request(),
    "a release first": pdu(RELEASE_RQ, bytes(4)),
    "an unknown PDU": pdu(0x42, bytes(4)),
    "HTTP": b"GET / HTTP/1.1\r\nHost: heatproof\r\n\r\n",
    "TLS on the plain port": bytes.fromhex("16030100f8010000f40303") + bytes(240),
}  # fmt: skip


@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_request_is_aborted_within_a_second(node: Intake, what: str) -> None:
    with RawPeer(node.listener.port) as peer:
        started = time.monotonic()
        kind, content = peer.send(MALFORMED[what]).answer()
        assert time.monotonic() - started < patient(1)
        assert kind == (0 if what.startswith("TLS") else ABORT)
        if kind:
            assert content[2] == 2  # the provider, not a user
    assert last_refusal(node).result is None


def test_another_protocol_version_is_rejected_by_the_provider(port: int) -> None:
    with RawPeer(port) as peer:
        assert peer.send(request(version=2)).answer() == (ASSOCIATE_RJ, bytes((0, 1, 2, 2)))


def test_another_application_context_is_rejected(port: int) -> None:
    with RawPeer(port) as peer:
        assert peer.send(request(application=b"1.2.3")).answer() == (ASSOCIATE_RJ, bytes((0, 1, 1, 2)))


def test_128_contexts_and_trailing_padding_of_a_uid_are_no_fault(port: int) -> None:
    with RawPeer(port) as peer:
        peer.associate(*((2 * n + 1, VERIFICATION + b"\0", (IMPLICIT, EXPLICIT)) for n in range(128)))


def test_the_deflated_transfer_syntax_is_not_accepted_and_the_refusal_says_so(node: Intake) -> None:
    with RawPeer(node.listener.port) as peer:
        kind, content = peer.send(request([(1, MR_IMAGE, (DEFLATED,)), *CONTEXTS[:0]])).answer()
        assert kind == ASSOCIATE_AC
        assert item(0x21, bytes((1, 0, 4, 0)) + item(0x40, DEFLATED)) in content
    wait_until(lambda: last_refusal(node).accepted, 2, "the record of the contexts that were refused")
    refusal = last_refusal(node)
    assert "MR Image Storage" in refusal.problem
    assert "Deflated" in refusal.problem


def test_a_request_that_trickles_is_cut_at_its_total_deadline(node: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrance, "REQUEST_SECONDS", patient(0.5))
    with RawPeer(node.listener.port) as peer:
        assert trickle(peer, request())
    assert "in time" in last_refusal(node).problem


def test_p_data_that_trickles_is_cut_at_its_total_deadline(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PDU_SECONDS", patient(0.5))
    before = footprint()
    with RawPeer(port) as peer:
        peer.associate()
        assert trickle(peer, echo_request())
    settled(before)


def trickle(peer: RawPeer, content: bytes) -> bool:
    """Send a byte every 50 ms; say whether the node ended it within a second and a half (on an idle machine)."""
    for byte in content[:30]:
        try:
            peer.send(bytes((byte,)))
        except OSError:
            return True
        if peer.is_closed_within(0.05):
            return True
    return False


def test_a_peer_that_reads_no_response_holds_nothing(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SEND_SECONDS", patient(0.5))
    before = footprint()
    with RawPeer(port, seconds=0.3, buffer=2048) as peer:
        peer.associate()
        flood = echo_request() * 500
        started = time.monotonic()
        with pytest.raises(OSError):  # noqa: PT012 - the node stops reading, then closes
            while time.monotonic() - started < patient(10):
                with suppress(TimeoutError):
                    peer.send(flood)
        assert echo_seconds(port) < patient(1)
    settled(before)


def test_requests_in_advance_are_not_read_before_the_first_is_answered(node: Intake) -> None:
    """A hundred requests at once are all answered, and never more than one of them waits in memory."""
    with RawPeer(node.listener.port) as peer:
        peer.associate().send(b"".join(echo_request(number) for number in range(1, 101)))
        assert [peer.answer()[0] for _ in range(100)] == [P_DATA] * 100


def test_an_association_on_which_nothing_comes_is_aborted(node: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node.listener._acceptor._entity, "_network_timeout", patient(0.3))
    with RawPeer(node.listener.port) as peer:
        assert peer.associate().is_closed_within(2)


@pytest.mark.parametrize("silent", [1, 10, 200])
def test_silent_connections_delay_nobody_and_cost_no_thread(port: int, many: ExitStack, silent: int) -> None:
    before = footprint()
    for _ in range(silent):
        many.enter_context(RawPeer(port))
    assert footprint().threads <= before.threads
    assert echo_seconds(port) < patient(1)
    assert echo_seconds(port, source=OTHER) < patient(1)
    many.close()
    settled(before)


def test_connections_without_end_push_each_other_out_and_nobody_else(
    port: int, many: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entrance, "MAXIMUM_WAITING", 20)
    first = many.enter_context(RawPeer(port, source=OTHER))
    greedy = [many.enter_context(RawPeer(port)) for _ in range(60)]
    assert greedy[0].is_closed_within(1)
    first.associate()


def test_one_address_fills_its_own_quota_only(port: int, many: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "IDLE_ENOUGH_SECONDS", patient(60))  # none gives way while the others are opened
    before = footprint()
    held = [many.enter_context(RawPeer(port)).associate() for _ in range(20)]
    with RawPeer(port) as peer:
        assert peer.send(request()).answer() == (ASSOCIATE_RJ, bytes((0, 2, 3, 2)))
    assert echo_seconds(port, source=OTHER) < patient(1)
    for peer in held:
        peer.send(pdu(RELEASE_RQ, bytes(4)))
    many.close()
    settled(before)


def test_the_oldest_idle_association_of_the_address_gives_way(
    node: Intake, many: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "IDLE_ENOUGH_SECONDS", 0.0)
    oldest, *others = [many.enter_context(RawPeer(node.listener.port)).associate() for _ in range(20)]
    elsewhere = many.enter_context(RawPeer(node.listener.port, source=OTHER)).associate()
    many.enter_context(RawPeer(node.listener.port)).associate()
    assert oldest.answer() == (ABORT, bytes(4))
    for peer in (others[0], elsewhere):
        assert peer.send(echo_request()).answer()[0] == P_DATA


def test_four_hundred_malformed_sessions_leave_nothing_behind(port: int) -> None:
    broken = list(MALFORMED.values())
    before = footprint()

    def sessions() -> None:
        for number in range(400):
            with RawPeer(port) as peer:
                peer.send(broken[number % len(broken)])

    assert seconds_of(sessions) < patient(10)
    assert echo_seconds(port) < patient(1)
    assert settled(before).resident_bytes - before.resident_bytes < 10 << 20


GARBAGE = {
    "a fragment without a command": fragment(ECHO_CONTEXT, 2, b"x" * 100),
    "a fragment longer than its PDU": pdu(P_DATA, struct.pack(">LBB", 5000, 1, 3) + b"abc"),
    "a fragment of no length": pdu(P_DATA, struct.pack(">L", 0)),
    "a command that is none": fragment(ECHO_CONTEXT, 3, b"\xff" * 300),
    "a context that was not negotiated": fragment(99, 3, echo_request()[12:]),
    "a second association request": request(),
    "a response that nobody asked for": pdu(ASSOCIATE_AC, request_body()),
    "an unknown PDU": pdu(0x42, bytes(4)),
    "a command of a megabyte": fragment(ECHO_CONTEXT, 1, bytes(100_000)) * 10,
}


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_on_an_open_association_ends_it_within_a_second(port: int, what: str) -> None:
    before = footprint()
    with RawPeer(port) as peer:
        peer.associate().send(GARBAGE[what])
        assert peer.is_closed_within(1)
    settled(before)
    assert echo_seconds(port) < patient(1)


def test_a_message_without_end_is_cut_at_its_ceiling(node: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = association.Bounds(message_bytes=4 << 20)
    monkeypatch.setattr(node.listener._acceptor, "_bounds", bounds)
    before = footprint()
    with RawPeer(node.listener.port) as peer:
        peer.associate().send(store_command())
        with suppress(OSError):
            for _ in range(200):
                peer.send(fragment(IMAGE_CONTEXT, 0, bytes(100_000)))
        assert peer.is_closed_within(2)
    assert settled(before).resident_bytes - before.resident_bytes < 12 << 20
    wait_until(lambda: "grew beyond 4096 KiB" in last_refusal(node).problem, 2, "the record")


def test_contexts_are_offered_by_an_honest_peer_as_ever() -> None:
    assert context(*CONTEXTS[0]) in request()
