"""What many peers use of one limited thing, such as memory or places: so much in all, and so much for each peer."""

import threading
from typing import Protocol


class Holding(Protocol):
    """Holds some of a peer's share, wherever that is counted."""

    def hold(self, amount: int) -> bool:
        """Hold so much from now on; say whether that is possible."""

    def release(self) -> None:
        """Hold nothing any more."""


class Shares:
    """Divides a fixed amount among peers; safe to use from any thread.

    A peer that asks for more than its share is refused, whatever is free; nobody waits.
    """

    def __init__(self, total: int, of_peer: int) -> None:
        """Divide.

        Args:
            total: for all peers together, in bytes or pieces.
            of_peer: for each of them.
        """
        self._total = total
        self._of_peer = of_peer
        self._taken: dict[str, int] = {}
        self._dividing = threading.Lock()

    @property
    def taken(self) -> int:
        """How much is in use."""
        with self._dividing:
            return sum(self._taken.values())

    def lease(self, peer: str) -> "Lease":
        """Return a lease for a peer, which holds nothing yet."""
        return Lease(self, peer)

    def change(self, peer: str, amount: int) -> bool:
        """Take so much more for a peer, or give it back; say whether there was so much.

        Args:
            peer: whose share.
            amount: below 0: it is given back, which always succeeds.
        """
        with self._dividing:
            mine = self._taken.get(peer, 0)
            if amount > 0 and (mine + amount > self._of_peer or sum(self._taken.values()) + amount > self._total):
                return False
            self._taken[peer] = mine + amount
            if not self._taken[peer]:
                del self._taken[peer]
            return True


class Lease:
    """What one association or request holds of its peer's share."""

    def __init__(self, shares: Shares, peer: str) -> None:
        self._shares = shares
        self._peer = peer
        self._held = 0

    @property
    def held(self) -> int:
        """How much is held."""
        return self._held

    def hold(self, amount: int) -> bool:
        """Hold so much from now on; say whether that is possible. Where it is not, what is held stays."""
        if not self._shares.change(self._peer, amount - self._held):
            return False
        self._held = amount
        return True

    def release(self) -> None:
        """Hold nothing any more."""
        self.hold(0)
