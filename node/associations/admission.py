"""Admission: which associations there are, which may join them, and which must go for them."""

import threading

from node.associations.association import BoundedAssociation
from node.associations.peers import Caller, Peers, Rejection
from node.associations.request import APPLICATION_CONTEXT, AssociationRequest

IDLE_ENOUGH_SECONDS = 1.0
"""Only an association on which nothing has come for this long is ever shed for another."""

_CROWDED = "It may try again; or raise node.maximum_associations_per_peer or node.maximum_associations."


class Admission:
    """The open associations of one node, on all its ports.

    Args:
        ae_title: ours.
        peers: who may call.
        most: associations at once.
        most_of_peer: of them, from one address.
    """

    def __init__(self, ae_title: str, peers: Peers, *, most: int, most_of_peer: int) -> None:
        self._ae_title = ae_title
        self._peers = peers
        self._most = most
        self._most_of_peer = most_of_peer
        self._inside: dict[BoundedAssociation, str] = {}
        self._lock = threading.Lock()

    def rejection(self, request: AssociationRequest, caller: Caller) -> Rejection | None:
        """Say why a request is rejected; None: who asks may come in, if there is room."""
        return self._protocol(request) or self._peers.rejection(request, caller)

    def make_room(self, address: str) -> Rejection | None:
        """Abort the oldest idle association where the room of this address, or all of it, is taken.

        Returns:
            why there is no room all the same.
        """
        going = None
        with self._lock:
            neighbours = [association for association, place in self._inside.items() if place == address]
            for whose, these, most in (
                (f"from {address}", neighbours, self._most_of_peer),
                ("at this node", list(self._inside), self._most),
            ):
                if len(these) >= most:
                    going = max(these, key=lambda association: association.idle_seconds())
                    if going.idle_seconds() < IDLE_ENOUGH_SECONDS:
                        return Rejection(2, 3, 2, f"All associations {whose} are in use.", _CROWDED)
                    del self._inside[going]
                    break
        if going is not None:
            going.abort(block=False)
        return None

    def enter(self, association: BoundedAssociation, address: str) -> None:
        """Count one in."""
        with self._lock:
            self._inside[association] = address

    def leave(self, association: BoundedAssociation) -> None:
        """Count one out."""
        with self._lock:
            self._inside.pop(association, None)

    @property
    def associations(self) -> tuple[BoundedAssociation, ...]:
        """Those that are open."""
        with self._lock:
            return tuple(self._inside)

    def _protocol(self, request: AssociationRequest) -> Rejection | None:
        if not request.protocol_version & 1:
            return Rejection(1, 2, 2, "The request is of another protocol version.", "Version 1 is the only one.")
        if request.application_context.encode() != APPLICATION_CONTEXT:
            return Rejection(1, 1, 2, "The application context is not that of DICOM.", "See what the sender is.")
        if request.called_ae_title != self._ae_title:
            return Rejection(1, 1, 7, *_title_problem(request.called_ae_title, self._ae_title))
        return None


def _title_problem(called: str, ours: str) -> tuple[str, str]:
    cure = f"Set the called AE title in the sender to {ours}."
    if not called:
        return "The called AE title is none.", cure
    if called.upper() == ours.upper():
        return f"The called title {called} is written in other letters than {ours}.", cure
    if _one_letter_off(called, ours):
        return f"The called title {called} is one letter off {ours}.", cure
    return f"The called title {called} is not that of this node, {ours}.", cure


def _one_letter_off(first: str, second: str) -> bool:
    shorter, longer = sorted((first, second), key=len)
    if len(longer) - len(shorter) == 1:
        return any(longer[:place] + longer[place + 1 :] == shorter for place in range(len(longer)))
    return len(first) == len(second) and sum(a != b for a, b in zip(first, second, strict=True)) == 1
