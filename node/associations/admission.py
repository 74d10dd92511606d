"""Admission control: the open associations, their limits, and which idle one is aborted for a new one."""

import threading

from node.associations.peers import Caller, Peers, Rejection
from node.associations.provider import OpenAssociation
from node.associations.request import APPLICATION_CONTEXT, AssociationRequest

IDLE_ENOUGH_SECONDS = 1.0
"""Only an association that has been idle for this long is aborted to admit another."""

_CROWDED = "Retry later, or raise node.maximum_associations_per_peer or node.maximum_associations."


class Admission:
    """The open associations of one node, on all its ports.

    Args:
        ae_title: ours.
        peers: the allow-list.
        most: maximum number of open associations.
        most_of_peer: maximum number from one address.
    """

    def __init__(self, ae_title: str, peers: Peers, *, most: int, most_of_peer: int) -> None:
        self._ae_title = ae_title
        self._peers = peers
        self._most = most
        self._most_of_peer = most_of_peer
        self._inside: dict[OpenAssociation, str] = {}
        self._lock = threading.Lock()

    def rejection(self, request: AssociationRequest, caller: Caller) -> Rejection | None:
        """Return the reason for rejecting a request; None: it may be admitted within the limits."""
        return self._protocol(request) or self._peers.rejection(request, caller)

    def make_room(self, address: str) -> Rejection | None:
        """Abort the longest idle association where a limit, of this address or of the node, is reached.

        Returns:
            the rejection where no association is idle enough; else None.
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
            going.dismiss()
        return None

    def enter(self, association: OpenAssociation, address: str) -> None:
        """Add an association."""
        with self._lock:
            self._inside[association] = address

    def leave(self, association: OpenAssociation) -> None:
        """Remove an association."""
        with self._lock:
            self._inside.pop(association, None)

    @property
    def associations(self) -> tuple[OpenAssociation, ...]:
        """The open associations."""
        with self._lock:
            return tuple(self._inside)

    def _protocol(self, request: AssociationRequest) -> Rejection | None:
        if not request.protocol_version & 1:
            return Rejection(
                1, 2, 2, "The request names an unsupported protocol version.", "Version 1 is the only one."
            )
        if request.application_context.encode() != APPLICATION_CONTEXT:
            return Rejection(
                1, 1, 2, "The application context is not that of DICOM.", "Check that the sender speaks DICOM."
            )
        if request.called_ae_title != self._ae_title:
            return Rejection(1, 1, 7, *_title_problem(request.called_ae_title, self._ae_title))
        return None


def _title_problem(called: str, ours: str) -> tuple[str, str]:
    cure = f"Set the called AE title in the sender to {ours}."
    if not called:
        return "The called AE title is not valid.", cure
    if called.upper() == ours.upper():
        return f"The called title {called} differs from {ours} in upper and lower case.", cure
    if _one_letter_off(called, ours):
        return f"The called title {called} differs from {ours} by one letter.", cure
    return f"The called title {called} is not that of this node, {ours}.", cure


def _one_letter_off(first: str, second: str) -> bool:
    shorter, longer = sorted((first, second), key=len)
    if len(longer) - len(shorter) == 1:
        return any(longer[:place] + longer[place + 1 :] == shorter for place in range(len(longer)))
    return len(first) == len(second) and sum(a != b for a, b in zip(first, second, strict=True)) == 1
