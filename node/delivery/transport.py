"""What every kind of destination offers: a transport that hands objects over, and a proof that they are there.

A new kind is a file beside this one with a class for either protocol, its word in ``node/settings/destination.py``, and
its line in ``kinds.py``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from node.settings.destination import Destination


@dataclass(frozen=True)
class Parcel:
    """One object that a destination is to have."""

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    study_instance_uid: str
    path: Path


class Transport(Protocol):
    """Hands objects over to a destination."""

    def store(self, destination: Destination, parcels: Sequence[Parcel]) -> dict[str, str]:
        """Send objects, and hear of each what became of it.

        Returns:
            For each SOP Instance UID an empty string, or what the destination said. A warning means that it is stored.

        Raises:
            DeliveryFailed: the destination cannot be reached, or refused all of them.
        """


class Proof(Protocol):
    """Finds out whether a destination holds what it took."""

    name: str
    """As it stands in the ledger and on pages, such as C-FIND."""

    def held(self, job_id: str, destination: Destination, parcels: Sequence[Parcel]) -> frozenset[str] | None:
        """Ask what a destination holds.

        Returns:
            the SOP Instance UIDs that it holds; None where its answer comes later, by itself.

        Raises:
            DeliveryFailed: it cannot be reached, does not offer this, or gave an answer that cannot be understood.
        """
