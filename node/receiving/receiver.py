"""A receiver: a process that speaks with the peers whose connections the node hands to it.

    python -m node.receiving.receiver DESCRIPTOR

It has no store, no folder and no key: what a peer sends goes to the node, and the peer is told what the node answers.
It ends with the node, whose end of the socket at DESCRIPTOR closes then.
"""

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import evt

from inference.errors import Unavailable
from node import logs
from node.associations.messages import Bounds
from node.associations.provider import Accounts, Provider, request_primitive
from node.associations.request import Refusal
from node.associations.upper_layer import FAULTS
from node.memory import bound_arenas
from node.receiving.contexts import Terms
from node.receiving.line import ReceiverLine, file_of
from node.receiving.normalized import KINDS, NormalizedKind, described, status_of

_MOST_CONFIGURATION_BYTES = 1 << 16


class NodeProxy:
    """Stands for the node in one association: what is asked of it goes over the line."""

    def __init__(self, line: ReceiverLine) -> None:
        self._line = line
        self._held = 0

    def hold(self, amount: int) -> bool:
        """Hold so many bytes of the peer's share of memory; say whether that is possible.

        Raises:
            OSError: the node no longer listens, which ends the association.
        """
        if amount == self._held:
            return True
        possible = bool(self._line.ask("hold", bytes=amount).details["possible"])
        if possible:
            self._held = amount
        return possible

    def release(self) -> None:
        """Hold nothing any more; said after every request, so that the node knows that the association is in use."""
        self._held = 0
        with suppress(OSError):  # the node holds nothing for a line that has ended
            self._line.tell("served")

    def store(self, event: Any) -> Dataset:
        """Answer C-STORE with what the node says; where it says nothing, that the instance may be sent again."""
        request = event.request
        details = {
            "sop_class_uid": str(request.AffectedSOPClassUID),
            "sop_instance_uid": str(request.AffectedSOPInstanceUID),
            "transfer_syntax_uid": str(event.context.transfer_syntax),
            "calling_ae_title": event.assoc.requestor.ae_title,
            "received_at": datetime.now(UTC).isoformat(),
            "has_data_set": request.DataSet is not None,
        }
        try:
            return self._ask("store", details, request.DataSet.getbuffer() if request.DataSet is not None else None)
        except OSError:  # no memory to hand it over, or the node has ended the association
            return status_of({"Status": Unavailable.dimse_status, "ErrorComment": "It may be sent again"})

    def answer(self, event: Any, name: str, kind: NormalizedKind) -> tuple[Dataset, None]:
        """Answer a request of DIMSE-N with what the node says.

        Raises:
            OSError: it said nothing, which pynetdicom answers with 0x0110, processing failure.
        """
        details, data_set = described(event, kind)
        return self._ask(name, {**details, "calling_ae_title": event.assoc.requestor.ae_title}, data_set), None

    def accepted(self, missed: Refusal | None) -> None:
        """Tell that the association was accepted, and which presentation contexts were not."""
        self._tell("accepted", missed=_described(missed) if missed else None)

    def refused(self, refusal: Refusal) -> None:
        """Tell that the association was aborted for what its peer sent."""
        self._tell("refused", refusal=_described(refusal))

    def ended(self, _association: object) -> None:
        """End the line, by which the node knows that the association is over."""
        self._line.close()

    def _ask(self, word: str, details: dict[str, Any], data_set: memoryview | None) -> Dataset:
        descriptor = None if data_set is None else file_of(data_set)
        return status_of(self._line.ask(word, descriptor=descriptor, **details).details["values"])

    def _tell(self, word: str, **details: Any) -> None:
        with suppress(OSError):  # the node is gone, and this process with it
            self._line.tell(word, **details)


class Receiver:
    """Serves the connections that come over one socket."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._entity = terms.entity()
        self._bounds = Bounds(message_bytes=terms.message_bytes)

    def serve(self, connection: socket.socket, end: socket.socket) -> None:
        """Serve a connection whose request comes over its line."""
        line = ReceiverLine(end)
        try:
            asked = line.receive()
            if asked is None:
                raise ConnectionResetError("The node asks for nothing")
            proxy = NodeProxy(line)
            handlers: list[tuple[Any, Callable[..., Any]]] = [(evt.EVT_C_STORE, proxy.store)]
            handlers += [(kind.event, partial(proxy.answer, name=name, kind=kind)) for name, kind in KINDS.items()]
            provider = Provider(self._entity, handlers, self._bounds, self._terms.further)
            accounts = Accounts(proxy.accepted, proxy.refused, proxy.ended)
            primitive = request_primitive(asked.content)
            provider.associate(connection, asked.details["address"], primitive, proxy, accounts).start()
        except FAULTS:  # the peer has gone meanwhile, or the node has
            connection.close()
            line.close()


def main() -> None:
    """Serve until the node ends."""
    bound_arenas()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # which a service manager or a terminal sends to the node's processes too
    control = socket.socket(fileno=int(sys.argv[1]))
    with suppress(ConnectionError):  # the node ended while this started
        serve(control)
    os._exit(0)  # associations that are open end here: nobody is told anything that the node has not said


def serve(control: socket.socket) -> None:
    """Serve the connections that come over a socket, until its other end closes."""
    told = control.recv(_MOST_CONFIGURATION_BYTES)
    if not told:
        return
    configuration = json.loads(told)
    logs.configure(level=configuration["log_level"])
    receiver = Receiver(Terms(**configuration["terms"]))
    control.send(b"\0")
    while True:
        asked, descriptors, _, _ = socket.recv_fds(control, 1, 2, socket.MSG_CMSG_CLOEXEC)
        if not asked:
            return
        connection, end = (socket.socket(fileno=descriptor) for descriptor in descriptors)
        threading.Thread(target=receiver.serve, args=(connection, end), daemon=True).start()


def _described(refusal: Refusal) -> dict[str, Any]:
    """Return a refusal as values of JSON."""
    offers = [[offer.context_id, offer.abstract_syntax, list(offer.transfer_syntaxes)] for offer in refusal.offers]
    return {**asdict(refusal), "offers": offers, "at": refusal.at.isoformat()}


if __name__ == "__main__":
    main()
