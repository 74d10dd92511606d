"""The service class provider: makes an association of a request that was admitted, and serves it in this process."""

import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import SOPClassCommonExtendedNegotiation
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AddressInformation

from node.associations.association import BoundedAssociation
from node.associations.connection import BoundedSocket
from node.associations.messages import Bounds
from node.associations.request import MalformedRequest, Offer, Refusal
from node.associations.shares import Holding
from node.associations.storage_classes import is_unread_class
from node.associations.upper_layer import FAULTS

STORAGE_SERVICE_CLASS = "1.2.840.10008.4.2"
_HEADER = struct.Struct(">BBL")


class OpenAssociation(Protocol):
    """An association that was admitted, whichever process serves it."""

    def start(self) -> None:
        """Serve it in a thread."""

    def idle_seconds(self) -> float:
        """Return the idle time; 0 while a message is received, or a request served."""

    def dismiss(self) -> None:
        """Abort it, and wait for nothing."""

    def join(self, timeout: float | None = None) -> None:
        """Wait until it is over, for so many seconds at most."""

    def cut(self) -> None:
        """End it by its connection, whatever it waits for."""


@dataclass(frozen=True)
class Accounts:
    """Where is told what became of an association that was admitted."""

    accepted: Callable[[Refusal | None], object]
    """It was accepted; with the presentation contexts that were not, where there are any."""
    refused: Callable[[Refusal], object]
    """It was aborted for what its peer sent."""
    ended: Callable[[OpenAssociation], object]
    """It is over."""


@dataclass(frozen=True)
class Provider:
    """Serves associations with the presentation contexts of one application entity."""

    entity: AE
    """Its title, contexts and timeouts are those of every association."""
    handlers: Sequence[tuple[Any, Any]]
    """(event of pynetdicom, function) of every association."""
    bounds: Bounds
    further: Callable[[Sequence[Offer]], list[PresentationContext]] | None = None
    """Gives the storage contexts that are accepted beside those of ``entity``, of what a peer offers."""

    def associate(
        self, connection: socket.socket, address: str, primitive: Any, lease: Holding, accounts: Accounts
    ) -> BoundedAssociation:
        """Make an association of a connection whose request was read; ``start`` answers it.

        Args:
            connection: of the peer.
            address: of the peer.
            primitive: the request, as ``request_primitive`` gives it.
            lease: what its messages hold of the peer's share of memory.
            accounts: where is told what becomes of it.
        """
        connection.setblocking(True)
        association = BoundedAssociation(self.entity, MODE_ACCEPTOR, bounds=self.bounds, lease=lease)
        association.on_end = partial(self._ended, association, accounts)
        association.set_socket(BoundedSocket(association, client_socket=connection))
        association.take_request(primitive)
        association.requestor.address_info = AddressInformation(address, connection.getpeername()[1])
        acceptor = association.acceptor
        acceptor.ae_title, acceptor.maximum_length = self.entity.ae_title, self.entity.maximum_pdu_size
        acceptor.implementation_class_uid = self.entity.implementation_class_uid
        acceptor.implementation_version_name = self.entity.implementation_version_name
        further = self.further(_offers(primitive.presentation_context_definition_list)) if self.further else []
        acceptor.supported_contexts = [*self.entity.supported_contexts, *further]
        for event, handler in self.handlers:
            association.bind(event, handler)
        association.bind(evt.EVT_ACCEPTED, self._accepted, [accounts])
        association.bind(evt.EVT_SOP_COMMON, partial(_as_storage, further))
        return association

    def _accepted(self, event: Any, accounts: Accounts) -> None:
        accepted = {context.abstract_syntax for context in event.assoc.accepted_contexts}
        offered = event.assoc.requestor.primitive.presentation_context_definition_list
        missed = [context for context in offered if context.abstract_syntax not in accepted]
        if not missed:
            accounts.accepted(None)
            return
        known = {context.abstract_syntax for context in event.assoc.acceptor.supported_contexts}
        problem, cure = _context_problem(missed, known)
        requestor = event.assoc.requestor
        titles = (requestor.ae_title, self.entity.ae_title)
        accounts.accepted(Refusal(problem, cure, requestor.address, *titles, _offers(missed), accepted=True))

    def _ended(self, association: BoundedAssociation, accounts: Accounts) -> None:
        if association.problem:
            requestor = association.requestor
            cure = "Check the sender against the conformance statement of this node."
            titles = (requestor.ae_title, self.entity.ae_title)
            accounts.refused(Refusal(association.problem, cure, requestor.address, *titles))
        accounts.ended(association)


def request_primitive(pdu: bytes) -> Any:
    """Decode a request with pynetdicom, so that its errors arise before an association thread exists.

    Args:
        pdu: A-ASSOCIATE-RQ without its six bytes of type and length.

    Raises:
        MalformedRequest: it holds a value that pynetdicom does not take.
    """
    try:
        request = A_ASSOCIATE_RQ()
        request.decode(_HEADER.pack(1, 0, len(pdu)) + pdu)
        return request.to_primitive()
    except FAULTS as error:
        raise MalformedRequest("holds a value that is not allowed") from error


def _offers(contexts: Sequence[PresentationContext]) -> tuple[Offer, ...]:
    return tuple(
        Offer(context.context_id or 0, str(context.abstract_syntax), tuple(map(str, context.transfer_syntax)))
        for context in contexts
    )


def _as_storage(contexts: Sequence[PresentationContext], _event: Any) -> dict[UID, Any]:
    """Have pynetdicom serve these SOP classes as storage classes, as if the peer had said so (PS3.7 D.3.3.6)."""
    served = {}
    for context in contexts:
        item = SOPClassCommonExtendedNegotiation()
        item.sop_class_uid, item.service_class_uid = context.abstract_syntax, STORAGE_SERVICE_CLASS
        served[UID(context.abstract_syntax)] = item
    return served


def _context_problem(missed: Sequence[PresentationContext], known: set[UID]) -> tuple[str, str]:
    """Describe the first rejected presentation context; the others are in the list of offers."""
    first = missed[0]
    name = UID(first.abstract_syntax).name
    if first.abstract_syntax not in known:
        cure = "Configure the sender to leave it out, or set node.keep_unknown_classes = true to have it kept unread."
        if not is_unread_class(first.abstract_syntax):
            cure = "Configure the sender to leave it out, or to send it elsewhere."
        return f"{name} is not accepted here.", cure
    syntaxes = " and ".join(UID(syntax).name for syntax in first.transfer_syntax)
    return (
        f"No transfer syntax in common for {name}: it offers only {syntaxes}.",
        "Configure the sender to offer Explicit VR Little Endian too.",
    )
