"""The requestor of associations with destinations, within the same limits as those that peers open."""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pydicom.uid import UID
from pynetdicom import AE
from pynetdicom._globals import MODE_REQUESTOR
from pynetdicom.presentation import build_context
from pynetdicom.transport import AddressInformation

from inference.errors import DeliveryFailed
from node.associations.association import BoundedAssociation
from node.associations.connection import MAXIMUM_PDU_LENGTH_BYTES, BoundedSocket
from node.associations.exchanges import Exchange
from node.associations.messages import Bounds
from node.associations.request import SMALLEST_PDU_BYTES
from node.associations.tls import client_context
from node.settings.destination import Destination
from reports.objects.equipment import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

CONNECTION_SECONDS = 15.0
"""Timeout of the connection, of the answer to the association request, and of an idle association."""
ANSWER_SECONDS = 60.0
"""Timeout of the answer to one DIMSE request."""
ANSWER_BYTES = 16 << 20
"""Longest message of a destination: what it answers are statuses and identifiers of queries."""


class NothingAccepted(DeliveryFailed):
    """The destination accepts none of the presentation contexts that were proposed to it."""


def associate(
    destination: Destination,
    contexts: Sequence[tuple[str, UID]],
    *,
    calling_ae_title: str,
    handlers: Sequence[tuple[Any, Any]] = (),
    negotiation: Sequence[Any] = (),
    seconds: float | None = None,
    longest_seconds: float | None = None,
) -> BoundedAssociation:
    """Open an association with a destination, within the same bounds as those that peers open with us.

    It is cut ``exchange_seconds`` of the destination after it began, whatever is under way on it.

    Args:
        destination: whom to call, and whether by TLS.
        contexts: abstract and transfer syntax of each presentation context.
        calling_ae_title: ours.
        handlers: of events that the peer may raise on it.
        negotiation: extended negotiation items, such as role selection.
        seconds: timeout of the connection and of each answer; None: those of this module.
        longest_seconds: of the whole association; None: ``exchange_seconds`` of the destination.

    Raises:
        NothingAccepted: the destination is there, and accepts no context.
        DeliveryFailed: there is no association; it says why, and what to do.
    """
    try:
        association = _prepared(destination, calling_ae_title, seconds)
    except OSError as error:
        raise DeliveryFailed(
            f"{destination.place} has no address: {error.strerror}.", cure="Check the host."
        ) from error
    for item in negotiation:
        association.requestor.add_negotiation_item(item)
    offered = [build_context(abstract_syntax, transfer_syntax) for abstract_syntax, transfer_syntax in contexts]
    for index, context in enumerate(offered):
        context.context_id = 2 * index + 1
    association.requestor.requested_contexts = offered
    for event, handler in handlers:
        association.bind(event, handler)
    longest = destination.exchange_seconds if longest_seconds is None else longest_seconds
    exchange = Exchange(longest, association.cut)
    association.on_end = exchange.over
    try:
        association.request()
        _check(association, destination, calling_ae_title)
    except DeliveryFailed:
        exchange.over()
        raise
    association.start()
    return association


def _check(association: BoundedAssociation, destination: Destination, calling_ae_title: str) -> None:
    """Abort an association that cannot be used.

    Raises:
        DeliveryFailed: it is not established, or takes PDUs that are too short.
    """
    if not association.is_established:
        raise _failure(association, destination, calling_ae_title)
    longest = association.acceptor.maximum_length
    if longest and longest < SMALLEST_PDU_BYTES:
        association.abort()
        raise DeliveryFailed(f"{destination.place} takes PDUs of {longest} bytes only.", cure="Check its settings.")


def _prepared(destination: Destination, calling_ae_title: str, seconds: float | None) -> BoundedAssociation:
    entity = AE(ae_title=calling_ae_title)
    entity.connection_timeout = entity.acse_timeout = entity.network_timeout = seconds or CONNECTION_SECONDS
    entity.dimse_timeout = seconds or ANSWER_SECONDS
    remote = AddressInformation.from_addr_port(destination.host, destination.port)
    local = AddressInformation("" if remote.is_ipv4 else "::0", 0)
    association = BoundedAssociation(entity, MODE_REQUESTOR, bounds=Bounds(message_bytes=ANSWER_BYTES))
    connection = BoundedSocket(association, address=local, pin=destination.certificate_sha256)
    if destination.transport is not None:
        pinned = bool(destination.certificate_sha256)
        connection.tls_args = (client_context(destination.transport, pinned=pinned), destination.host)
    association.set_socket(connection)
    association.acceptor.ae_title, association.acceptor.address_info = destination.ae_title, remote
    requestor = association.requestor
    requestor.ae_title, requestor.address_info = calling_ae_title, local
    requestor.maximum_length = MAXIMUM_PDU_LENGTH_BYTES
    requestor.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    requestor.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    return association


def _failure(association: BoundedAssociation, destination: Destination, calling_ae_title: str) -> DeliveryFailed:
    if association.is_rejected:
        why = getattr(association.acceptor.primitive, "reason_str", "no reason given")
        return DeliveryFailed(
            f"{destination.place} rejected the association: {why}.",
            cure=f"Check that it knows the calling AE title {calling_ae_title} and is itself {destination.ae_title}.",
        )
    if association.rejected_contexts:
        names = sorted({UID(context.abstract_syntax).name for context in association.rejected_contexts})
        return NothingAccepted(
            f"{destination.place} accepts nothing that was proposed: {', '.join(names)}.",
            cure="Have it enabled there for our AE title.",
        )
    problem = association.dul.socket.problem
    return DeliveryFailed(
        f"No association with {destination.place}" + (f": {problem}." if problem else "."),
        cure="Check that it runs, and the address and the port.",
    )


def answers(responses: Iterable[Any], destination: Destination, *, most: int, seconds: float) -> Iterator[Any]:
    """Yield the responses of a peer to one C-FIND, C-MOVE or C-GET, up to a limit of number and time.

    Args:
        responses: of pynetdicom's ``send_c_find`` and its like.
        destination: who answers, for the message.
        most: how many answers are taken.
        seconds: for all of them.

    Raises:
        DeliveryFailed: there were more, or it took longer.
    """
    deadline = time.monotonic() + seconds
    for count, response in enumerate(responses):
        if count >= most or time.monotonic() > deadline:
            raise DeliveryFailed(
                f"{destination.name} went on answering after {count} responses.",
                cure="Limit the query, or check the peer.",
            )
        yield response
