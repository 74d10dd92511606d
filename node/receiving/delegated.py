"""An association that a receiver serves, as the node sees it: what it asks for is answered here.

Memory, metrics, the record of refusals, the inbox with its store and the ledger are the node's alone. All that a
receiver has is the connection and the line; whatever becomes of it, the end of the line ends the association here.
"""

import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydicom.dataset import Dataset
from sqlalchemy.exc import SQLAlchemyError

from inference.errors import HeatproofError, UnreadableInstance
from node.associations.connection import abort_pdu
from node.associations.peers import Caller
from node.associations.provider import Accounts
from node.associations.request import Offer, Refusal
from node.associations.shares import Lease
from node.associations.upper_layer import FAULTS
from node.receiving.inspection import Arrival, Purpose
from node.receiving.line import LineMessage, ReceiverLine
from node.receiving.normalized import KINDS, PROCESSING_FAILURE, event_of, values_of


@dataclass(frozen=True)
class Sender:
    """The peer of an association, as the log names it."""

    address: str
    ae_title: str


@dataclass(frozen=True)
class NodeAnswers:
    """Who answers what the peers of receivers ask for."""

    keep: Callable[[Callable[[], Arrival], Sender], Dataset | int]
    """Keeps an arrival of a peer, and gives the status of C-STORE; never raises."""
    handlers: Mapping[Any, Callable[[Any], Any]]
    """By event of pynetdicom: answers a request of DIMSE-N, with status and data set."""
    purpose: Purpose
    """What instances are sent for."""


class DelegatedAssociation(threading.Thread):
    """One association in a receiver, and the thread that answers it."""

    def __init__(
        self,
        connection: socket.socket,
        caller: Caller,
        pdu: bytes,
        line: ReceiverLine,
        lease: Lease,
        accounts: Accounts,
        answers: NodeAnswers,
    ) -> None:
        super().__init__(name="delegated association", daemon=True)
        self._connection = connection
        self._caller = caller
        self._pdu = pdu
        self._line = line
        self._lease = lease
        self._accounts = accounts
        self._answers = answers
        self._active_at = time.monotonic()
        self._answering = False

    def run(self) -> None:
        """Answer until the line ends."""
        try:
            self._line.send("associate", self._pdu, address=self._caller.address)
            while (message := self._line.receive()) is not None:
                self._answering, self._active_at = True, time.monotonic()
                self._answer(message)
                self._answering, self._active_at = False, time.monotonic()
        except (*FAULTS, HeatproofError):  # the receiver is gone, or no longer one of ours
            self.cut()
        finally:
            self._lease.release()
            self._accounts.ended(self)
            self._line.close()
            self._connection.close()

    def idle_seconds(self) -> float:
        """Return the idle time; 0 while a message is received, or a request served."""
        return 0.0 if self._answering or self._lease.held else time.monotonic() - self._active_at

    def dismiss(self) -> None:
        """Send an A-ABORT and end the connection; the receiver sees its end."""
        with suppress(OSError):
            self._connection.send(abort_pdu(0, 0), socket.MSG_DONTWAIT)
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """End connection and line, whatever the receiver does."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._line.cut()

    def _answer(self, message: LineMessage) -> None:
        details = message.details
        if message.word == "hold":
            self._line.send("held", possible=self._lease.hold(max(int(details["bytes"]), 0)))
        elif message.word == "served":
            self._lease.release()
        elif message.word == "store":
            sender = Sender(self._caller.address, str(details["calling_ae_title"]))
            status = self._answers.keep(lambda: self._arrival(message), sender)
            self._line.send("answer", values=values_of(status))
        elif message.word in KINDS:
            self._line.send("answer", values=self._answer_normalized(message))
        elif message.word == "accepted":
            self._accounts.accepted(self._refusal(details["missed"]) if details["missed"] else None)
        elif message.word == "refused":
            self._accounts.refused(self._refusal(details["refusal"]))
        else:
            raise ValueError(f"A receiver said {message.word!r}")

    def _arrival(self, message: LineMessage) -> Arrival:
        """Return what a C-STORE request brought.

        Raises:
            UnreadableInstance: the request came without a data set.
        """
        details = message.details
        if not details["has_data_set"]:
            raise UnreadableInstance("The request has no data set.")
        return Arrival(
            sop_class_uid=details["sop_class_uid"],
            sop_instance_uid=details["sop_instance_uid"],
            transfer_syntax_uid=details["transfer_syntax_uid"],
            encoded=message.file,
            calling_ae_title=details["calling_ae_title"],
            peer_address=self._caller.address,
            received_at=datetime.fromisoformat(details["received_at"]),
            purpose=self._answers.purpose,
        )

    def _answer_normalized(self, message: LineMessage) -> dict[str, Any]:
        kind = KINDS[message.word]
        try:
            event = event_of(message, kind, address=self._caller.address, ae_title=message.details["calling_ae_title"])
            status, _ = self._answers.handlers[kind.event](event)
        except (*FAULTS, SQLAlchemyError, HeatproofError):  # the peer may have sent anything
            return {"Status": PROCESSING_FAILURE}
        return values_of(status)

    def _refusal(self, details: Mapping[str, Any]) -> Refusal:
        offers = tuple(Offer(number, abstract, tuple(transfer)) for number, abstract, transfer in details["offers"])
        return Refusal(
            details["problem"],
            details["cure"],
            self._caller.address,
            details["calling_ae_title"],
            details["called_ae_title"],
            offers,
            accepted=bool(details["accepted"]),
        )
