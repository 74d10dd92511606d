"""The acceptor of associations that peers request: each is accepted and served, or refused with a reason."""

import socket
import ssl
import struct
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import SOPClassCommonExtendedNegotiation
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AddressInformation

from node.associations.admission import Admission
from node.associations.association import IDLE_SECONDS, BoundedAssociation
from node.associations.connection import BoundedSocket, reject_pdu
from node.associations.entrance import Entrance
from node.associations.messages import Bounds
from node.associations.peers import Caller, Peers, Rejection
from node.associations.refusals import Refusal, Refusals
from node.associations.request import AssociationRequest, MalformedRequest, Offer, read_request
from node.associations.shares import Shares
from node.associations.storage_classes import is_unread_class
from node.associations.tls import server_context
from node.associations.upper_layer import FAULTS
from node.metrics import Metrics
from node.settings.node import NodeSettings
from node.settings.tls import TlsSettings

STORAGE_SERVICE_CLASS = "1.2.840.10008.4.2"
_ABORT_SECONDS = 1.0
_HEADER = struct.Struct(">BBL")


class Acceptor:
    """The listening ports of one node, plain and TLS, and their associations."""

    def __init__(
        self,
        settings: NodeSettings,
        entity: AE,
        handlers: Sequence[tuple[Any, Any]],
        refusals: Refusals,
        metrics: Metrics,
        *,
        peers: Peers,
        tls: TlsSettings | None,
        memory: Shares | None = None,
        further: Callable[[Sequence[Offer]], list[PresentationContext]] | None = None,
    ) -> None:
        """Bind to an application entity.

        Args:
            settings: AE title, address, port and limits.
            entity: its presentation contexts are accepted.
            handlers: (event of pynetdicom, function) of every association.
            refusals: where what was refused is written down.
            metrics: count associations.
            peers: who may call.
            tls: port and files of DICOM over TLS.
            memory: bytes for messages that are being received; of these settings where left out.
            further: gives the storage contexts that are accepted beside those of ``entity``, of what a peer offers.
        """
        entity.acse_timeout, entity.network_timeout = 10.0, IDLE_SECONDS
        self._entity = entity
        self._handlers = [*handlers, (evt.EVT_ACCEPTED, self._accepted)]
        self._settings = settings
        self._refusals = refusals
        self._metrics = metrics
        self._tls = tls
        self._further = further
        self._memory = memory or memory_of(settings)
        self._bounds = Bounds(message_bytes=settings.maximum_message_mebibytes << 20)
        self._admission = Admission(
            settings.ae_title,
            peers,
            most=settings.maximum_associations,
            most_of_peer=settings.maximum_associations_per_peer,
        )
        self._plain: Entrance | None = None
        self._secure: Entrance | None = None

    @property
    def running(self) -> bool:
        """Whether connections are accepted."""
        return self._plain is not None or self._secure is not None

    @property
    def port(self) -> int:
        """The plain port; once started, the one the system assigned where the setting was 0."""
        return self._plain.port if self._plain else self._settings.port

    @property
    def tls_port(self) -> int | None:
        """The port of DICOM over TLS; None where it is not configured."""
        return self._secure.port if self._secure else self._tls.port if self._tls else None

    def start(self) -> None:
        """Bind the ports and accept connections.

        Raises:
            OSError: a port cannot be bound.
            SettingsInvalid: certificate, key or authorities cannot be used.
        """
        if self._tls is not None:
            self._secure = self._open(self._tls.port, server_context(self._tls))
        if self._tls is None or not self._tls.required:
            self._plain = self._open(self._settings.port, None)

    def stop(self, *, grace_seconds: float) -> None:
        """Stop listening, wait ``grace_seconds`` for open associations to end, and abort the rest."""
        entrances, self._plain, self._secure = (self._plain, self._secure), None, None
        for entrance in entrances:
            if entrance is not None:
                entrance.close()
        deadline = time.monotonic() + grace_seconds
        for association in self._admission.associations:
            association.join(max(deadline - time.monotonic(), 0.0))
        left = self._admission.associations
        for association in left:
            association.abort(block=False)
        deadline = time.monotonic() + _ABORT_SECONDS
        for association in left:
            association.join(max(deadline - time.monotonic(), 0.0))
            association.cut()
        self._refusals.close()

    def _open(self, port: int, tls: ssl.SSLContext | None) -> Entrance:
        entrance = Entrance((self._settings.host, port), tls=tls, visit=self._visit, refused=self._refused)
        entrance.start()
        return entrance

    def _visit(self, connection: socket.socket, caller: Caller, pdu: bytes) -> bytes:
        """Start an association on a connection, or give the PDU that rejects it.

        Raises:
            MalformedRequest: the request violates PS3.8.
        """
        request = read_request(pdu)
        rejection = self._admission.rejection(request, caller)
        primitive = _primitive(pdu) if rejection is None else None
        rejection = rejection or self._admission.make_room(caller.address)
        if rejection is not None:
            self._refused(_refusal(request, caller, rejection))
            return reject_pdu(rejection.result, rejection.source, rejection.reason)
        connection.setblocking(True)
        lease = self._memory.lease(caller.address)
        association = BoundedAssociation(self._entity, MODE_ACCEPTOR, bounds=self._bounds, lease=lease)
        association.on_end = partial(self._ended, association)
        association.set_socket(BoundedSocket(association, client_socket=connection))
        association.take_request(primitive)
        association.requestor.address_info = AddressInformation(caller.address, connection.getpeername()[1])
        acceptor = association.acceptor
        acceptor.ae_title, acceptor.maximum_length = self._settings.ae_title, self._entity.maximum_pdu_size
        acceptor.implementation_class_uid = self._entity.implementation_class_uid
        acceptor.implementation_version_name = self._entity.implementation_version_name
        further = self._further(request.offers) if self._further else []
        acceptor.supported_contexts = [*self._entity.supported_contexts, *further]
        for event, handler in [*self._handlers, (evt.EVT_SOP_COMMON, partial(_as_storage, further))]:
            association.bind(event, handler)
        self._admission.enter(association, caller.address)
        association.start()
        return b""

    def _refused(self, refusal: Refusal) -> None:
        self._metrics.association("rejected" if refusal.result else "aborted")
        self._refusals.record(refusal)

    def _accepted(self, event: Any) -> None:
        self._metrics.association("accepted")
        accepted = {context.abstract_syntax for context in event.assoc.accepted_contexts}
        offered = event.assoc.requestor.primitive.presentation_context_definition_list
        missed = [context for context in offered if context.abstract_syntax not in accepted]
        if missed:
            known = {context.abstract_syntax for context in event.assoc.acceptor.supported_contexts}
            problem, cure = _context_problem(missed, known)
            offers = tuple(
                Offer(context.context_id, str(context.abstract_syntax), tuple(map(str, context.transfer_syntax)))
                for context in missed
            )
            requestor = event.assoc.requestor
            self._refusals.record(
                Refusal(
                    problem, cure, requestor.address, requestor.ae_title, self._settings.ae_title, offers, accepted=True
                )
            )

    def _ended(self, association: BoundedAssociation) -> None:
        self._admission.leave(association)
        association.dimse.served()
        if association.problem:
            requestor = association.requestor
            cure = "Check the sender against the conformance statement of this node."
            self._refused(
                Refusal(association.problem, cure, requestor.address, requestor.ae_title, self._settings.ae_title)
            )


def memory_of(settings: NodeSettings) -> Shares:
    """Return the bytes that messages and requests with studies may take while they are received."""
    return Shares(settings.receiving_mebibytes << 20, settings.receiving_mebibytes_per_peer << 20)


def _as_storage(contexts: Sequence[PresentationContext], _event: Any) -> dict[UID, Any]:
    """Have pynetdicom serve these SOP classes as storage classes, as if the peer had said so (PS3.7 D.3.3.6)."""
    served = {}
    for context in contexts:
        item = SOPClassCommonExtendedNegotiation()
        item.sop_class_uid, item.service_class_uid = context.abstract_syntax, STORAGE_SERVICE_CLASS
        served[UID(context.abstract_syntax)] = item
    return served


def _primitive(pdu: bytes) -> Any:
    """Decode the request with pynetdicom, so that its errors arise before an association thread exists."""
    try:
        request = A_ASSOCIATE_RQ()
        request.decode(_HEADER.pack(1, 0, len(pdu)) + pdu)
        return request.to_primitive()
    except FAULTS as error:
        raise MalformedRequest("holds a value that is not allowed") from error


def _refusal(request: AssociationRequest, caller: Caller, rejection: Rejection) -> Refusal:
    return Refusal(
        rejection.problem,
        rejection.cure,
        caller.address,
        request.calling_ae_title,
        request.called_ae_title,
        request.offers,
        rejection.result,
        rejection.source,
        rejection.reason,
    )


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
