"""Requests of DIMSE-N (PS3.7 10) that a receiver hands to the node, which answers them as if they had come to it."""

from dataclasses import dataclass
from io import BytesIO
from types import SimpleNamespace
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.dimse_primitives import N_CREATE, N_EVENT_REPORT, N_SET
from pynetdicom.events import Event
from pynetdicom.presentation import PresentationContextTuple

from node.receiving.line import LineMessage

PROCESSING_FAILURE = 0x0110


@dataclass(frozen=True)
class NormalizedKind:
    """One kind of request."""

    event: Any
    """Of pynetdicom, to which its handler is bound."""
    primitive: type[Any]
    fields: tuple[str, ...]
    """Of the command set that are handed over."""
    data_set: str
    """Field of the data set."""


KINDS = {
    "N-EVENT-REPORT": NormalizedKind(
        evt.EVT_N_EVENT_REPORT,
        N_EVENT_REPORT,
        ("AffectedSOPClassUID", "AffectedSOPInstanceUID", "EventTypeID"),
        "EventInformation",
    ),
    "N-CREATE": NormalizedKind(
        evt.EVT_N_CREATE, N_CREATE, ("AffectedSOPClassUID", "AffectedSOPInstanceUID"), "AttributeList"
    ),
    "N-SET": NormalizedKind(
        evt.EVT_N_SET, N_SET, ("RequestedSOPClassUID", "RequestedSOPInstanceUID"), "ModificationList"
    ),
}
"""Those that a node may answer: storage commitment (PS3.4 J.3.3) and performed procedure steps (PS3.4 F.7.2)."""


def described(event: Any, kind: NormalizedKind) -> tuple[dict[str, Any], memoryview]:
    """Return what a request says, as values of JSON, and its encoded data set."""
    data_set = getattr(event.request, kind.data_set)
    fields = {name: getattr(event.request, name) for name in kind.fields}
    return (
        {
            "fields": {name: value if isinstance(value, int) else str(value or "") for name, value in fields.items()},
            "context": [
                event.context.context_id,
                str(event.context.abstract_syntax),
                str(event.context.transfer_syntax),
            ],
            "has_data_set": data_set is not None,
        },
        data_set.getbuffer() if data_set is not None else memoryview(b""),
    )


def event_of(message: LineMessage, kind: NormalizedKind, *, address: str, ae_title: str) -> Event:
    """Make the event of a request that was handed over.

    Args:
        message: what ``described`` gave.
        kind: of the request.
        address: of the peer.
        ae_title: calling AE title of the peer.

    Raises:
        LookupError, TypeError, ValueError: it is no such message.
    """
    request = kind.primitive()
    for name in kind.fields:
        value = message.details["fields"][name]
        setattr(request, name, value if value != "" else None)
    if message.details["has_data_set"]:
        setattr(request, kind.data_set, BytesIO(message.file))
    number, abstract_syntax, transfer_syntax = message.details["context"]
    context = PresentationContextTuple(number, UID(abstract_syntax), UID(transfer_syntax))
    peer: Any = SimpleNamespace(requestor=SimpleNamespace(address=address, ae_title=ae_title))
    return Event(peer, kind.event, {"request": request, "context": context})


def values_of(status: Dataset | int) -> dict[str, Any]:
    """Return the elements of a response by keyword, as values of JSON."""
    if isinstance(status, int):
        return {"Status": status}
    return {element.keyword: element.value for element in status}


def status_of(values: dict[str, Any]) -> Dataset:
    """Return the elements of a response."""
    status = Dataset()
    for keyword, value in values.items():
        setattr(status, keyword, value)
    return status
