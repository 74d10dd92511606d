"""The acceptor of associations that peers request: each is accepted and served, or refused with a reason."""

import socket
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from pynetdicom import AE
from pynetdicom.presentation import PresentationContext

from node.associations.admission import Admission
from node.associations.connection import reject_pdu
from node.associations.entrance import Entrance
from node.associations.messages import Bounds
from node.associations.peers import Caller, Peers, Rejection
from node.associations.provider import Accounts, OpenAssociation, Provider, request_primitive
from node.associations.refusals import Refusals
from node.associations.request import AssociationRequest, Offer, Refusal, read_request
from node.associations.shares import Lease, Shares
from node.associations.tls import server_context
from node.metrics import Metrics
from node.settings.node import NodeSettings
from node.settings.tls import TlsSettings

_ABORT_SECONDS = 1.0


class Elsewhere(Protocol):
    """Has another process serve associations that were admitted here."""

    def associate(
        self, connection: socket.socket, caller: Caller, pdu: bytes, lease: Lease, accounts: Accounts
    ) -> OpenAssociation | None:
        """Hand a connection and its request over; None: it is to be served here."""


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
        elsewhere: Elsewhere | None = None,
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
            elsewhere: other processes that serve associations; this one does where left out.
        """
        self._entity = entity
        self._handlers = handlers
        self._settings = settings
        self._refusals = refusals
        self._metrics = metrics
        self._tls = tls
        self._further = further
        self._elsewhere = elsewhere
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
            association.dismiss()
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
        primitive = request_primitive(pdu) if rejection is None else None
        rejection = rejection or self._admission.make_room(caller.address)
        if rejection is not None:
            self._refused(_refusal(request, caller, rejection))
            return reject_pdu(rejection.result, rejection.source, rejection.reason)
        association = self._associate(connection, caller, pdu, primitive)
        association.start()
        return b""

    def _associate(self, connection: socket.socket, caller: Caller, pdu: bytes, primitive: Any) -> OpenAssociation:
        lease = self._memory.lease(caller.address)
        accounts = Accounts(self._accepted, self._refused, self._admission.leave)
        association: OpenAssociation | None = None
        if self._elsewhere is not None and not caller.over_tls:
            association = self._elsewhere.associate(connection, caller, pdu, lease, accounts)
        if association is None:
            provider = Provider(self._entity, self._handlers, self._bounds, self._further)
            association = provider.associate(connection, caller.address, primitive, lease, accounts)
        self._admission.enter(association, caller.address)
        return association

    def _refused(self, refusal: Refusal) -> None:
        self._metrics.association("rejected" if refusal.result else "aborted")
        self._refusals.record(refusal)

    def _accepted(self, missed: Refusal | None) -> None:
        self._metrics.association("accepted")
        if missed is not None:
            self._refusals.record(missed)


def memory_of(settings: NodeSettings) -> Shares:
    """Return the bytes that messages and requests with studies may take while they are received."""
    return Shares(settings.receiving_mebibytes << 20, settings.receiving_mebibytes_per_peer << 20)


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
