"""Strict parsing of an association request (A-ASSOCIATE-RQ, PS3.8 9.3.2), and what is said of one that is refused."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
MAXIMUM_REQUEST_BYTES = 1 << 18
"""128 contexts with twenty transfer syntaxes each take a third of it."""
MAXIMUM_CONTEXTS = 128
SMALLEST_PDU_BYTES = 128
"""A peer that takes no longer PDU than this would have an answer cut into thousands."""
_FIXED = struct.Struct(">HH16s16s32s")
_APPLICATION, _CONTEXT, _ABSTRACT, _TRANSFER, _USER = 0x10, 0x20, 0x30, 0x40, 0x50
_MAXIMUM_LENGTH, _IDENTITY = 0x51, 0x58
_UID = re.compile(rb"[0-9.]{1,64}[\0 ]?")
_TITLE = re.compile(rb"[ -\[\]-~]{16}")


class MalformedRequest(ValueError):
    """The request violates PS3.8; ``str`` names the fault."""


@dataclass(frozen=True)
class Offer:
    """One presentation context that was offered."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, repr=False)
class Identity:
    """The user identity of a request (PS3.7 D.3.3.7); the second field may be a passcode and is never printed."""

    kind: int
    """1 user name, 2 user name and passcode, 3 Kerberos, 4 SAML, 5 JSON Web Token."""
    answer_wanted: bool
    primary: bytes
    secondary: bytes


@dataclass(frozen=True)
class AssociationRequest:
    """The parsed request."""

    protocol_version: int
    application_context: str
    called_ae_title: str
    """Empty where it is not a valid AE title (PS3.5 6.2)."""
    calling_ae_title: str
    """Empty where it is not a valid AE title."""
    offers: tuple[Offer, ...]
    maximum_pdu_bytes: int
    """Of P-DATA that the peer takes; 0 means any."""
    identity: Identity | None


@dataclass(frozen=True)
class Refusal:
    """One refusal; all text of the peer is escaped and truncated."""

    problem: str
    """A sentence: what was wrong."""
    cure: str
    """A sentence: what to change, and where."""
    peer_address: str
    calling_ae_title: str = ""
    called_ae_title: str = ""
    offers: tuple[Offer, ...] = ()
    """Presentation contexts that were offered; where the association was accepted, only those that were refused."""
    result: int | None = None
    """Of the A-ASSOCIATE-RJ (PS3.8 table 9-21), 1 permanent or 2 transient; None where it was aborted or accepted."""
    source: int | None = None
    """Of the A-ASSOCIATE-RJ, or of the A-ABORT where ``result`` is None (PS3.8 9.3.8)."""
    reason: int | None = None
    """Of the A-ASSOCIATE-RJ or the A-ABORT."""
    accepted: bool = False
    """Whether the association was accepted all the same, without these contexts."""
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    """The last time."""
    times: int = 1
    """How often the same peer was refused the same."""
    id: str = ""
    """Of the row."""


def read_request(pdu: bytes) -> AssociationRequest:
    """Parse the body of an A-ASSOCIATE-RQ: every length must fit, every context ID be odd, unique and complete.

    Args:
        pdu: the PDU without its six bytes of type and length.

    Raises:
        MalformedRequest: it violates PS3.8 9.3.2 or D.1.
    """
    if len(pdu) < _FIXED.size:
        raise MalformedRequest("is shorter than its fixed fields")
    version, _, called, calling, _ = _FIXED.unpack_from(pdu)
    application: list[str] = []
    offers: list[Offer] = []
    users: list[tuple[int, Identity | None]] = []
    for kind, content in _items(pdu[_FIXED.size :]):
        if kind == _APPLICATION:
            application.append(_uid(content))
        elif kind == _CONTEXT:
            offers.append(_offer(content))
        elif kind == _USER:
            users.append(_user(content))
    if len(application) != 1 or len(users) != 1:
        raise MalformedRequest("needs one application context and one user information item")
    if not 1 <= len(offers) <= MAXIMUM_CONTEXTS:
        raise MalformedRequest(f"offers {len(offers)} presentation contexts; 1 to {MAXIMUM_CONTEXTS} are possible")
    if len({offer.context_id for offer in offers}) < len(offers):
        raise MalformedRequest("gives two presentation contexts the same id")
    return AssociationRequest(
        version, application[0], _title(called), _title(calling), tuple(offers), users[0][0], users[0][1]
    )


def printable(text: bytes | str, length: int) -> str:
    """Escape text of a peer for logs and pages: printable ASCII, truncated."""
    characters = text.decode("latin-1") if isinstance(text, bytes) else text
    return characters.encode("unicode_escape").decode("ascii")[:length]


def titles_of(pdu: bytes) -> tuple[str, str]:
    """Return called and the calling AE title of a request that may be broken elsewhere, escaped; empty if missing."""
    if len(pdu) < _FIXED.size:
        return "", ""
    _, _, called, calling, _ = _FIXED.unpack_from(pdu)
    return printable(called.strip(), 64), printable(calling.strip(), 64)


def _items(content: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    while place < len(content):
        if place + 4 > len(content):
            raise MalformedRequest("ends in the middle of an item")
        kind, _, length = struct.unpack_from(">BBH", content, place)
        place += 4 + length
        if place > len(content):
            raise MalformedRequest(f"has an item 0x{kind:02X} that is longer than what holds it")
        yield kind, content[place - length : place]


def _offer(content: bytes) -> Offer:
    if len(content) < 4:
        raise MalformedRequest("has a presentation context without an id")
    if content[0] % 2 == 0:
        raise MalformedRequest(f"has a presentation context with the even id {content[0]}")
    items = list(_items(content[4:]))
    abstract = [_uid(item) for kind, item in items if kind == _ABSTRACT]
    transfer = [_uid(item) for kind, item in items if kind == _TRANSFER]
    if len(abstract) != 1 or not transfer:
        raise MalformedRequest("has a presentation context without one abstract and at least one transfer syntax")
    return Offer(content[0], abstract[0], tuple(transfer))


def _user(content: bytes) -> tuple[int, Identity | None]:
    items = dict(_items(content))
    length = items.get(_MAXIMUM_LENGTH, b"")
    if len(length) != 4:
        raise MalformedRequest("has no maximum length of PDUs")
    longest = int.from_bytes(length, "big")
    if 0 < longest < SMALLEST_PDU_BYTES:
        raise MalformedRequest(f"takes PDUs of at most {longest} bytes; {SMALLEST_PDU_BYTES} are needed")
    return longest, _identity(items[_IDENTITY]) if _IDENTITY in items else None


def _identity(content: bytes) -> Identity:
    if len(content) < 4:
        raise MalformedRequest("has a user identity that is cut short")
    kind, response_requested, length = struct.unpack_from(">BBH", content)
    rest = content[4 + length :]
    if len(rest) < 2 or len(rest) != 2 + int.from_bytes(rest[:2], "big"):
        raise MalformedRequest("has a user identity whose lengths do not fit")
    return Identity(kind, response_requested != 0, content[4 : 4 + length], rest[2:])


def _uid(content: bytes) -> str:
    if not _UID.fullmatch(content):
        raise MalformedRequest("contains an invalid UID")
    return content.rstrip(b"\0 ").decode("ascii")


def _title(content: bytes) -> str:
    return content.decode("ascii").strip() if _TITLE.fullmatch(content) else ""
