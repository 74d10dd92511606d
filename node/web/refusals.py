"""What the node refused to its peers, in words: for the association doctor's page and as JSON."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydicom.uid import UID

from node.associations.refusals import Refusal, Refusals
from node.associations.request import Offer
from node.web.guard import Guard

MOST_REFUSALS = 500
_RESULTS = {1: "rejected for good", 2: "rejected for now"}
_REJECTED_BY = {1: "service user", 2: "service provider (ACSE)", 3: "service provider (presentation)"}
_ABORTED_BY = {0: "service user", 2: "service provider"}


@dataclass(frozen=True)
class Offered:
    """One presentation context, in names."""

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True)
class RefusalInWords:
    """Who was refused what, when, and what to do about it."""

    at: datetime
    """The last time."""
    times: int
    peer: str
    """AE title and address."""
    calling_ae_title: str
    peer_address: str
    called_ae_title: str
    outcome: str
    """What DICOM calls it, with the numbers of PS3.8 table 9-21."""
    problem: str
    cure: str
    offered: tuple[Offered, ...]
    """Where the association was accepted, the contexts that were not."""


def in_words(refusal: Refusal) -> RefusalInWords:
    """Write one refusal for people."""
    title, address = refusal.calling_ae_title, refusal.peer_address
    return RefusalInWords(
        at=refusal.at,
        times=refusal.times,
        peer=f"{title} at {address}" if title else address,
        calling_ae_title=title,
        peer_address=address,
        called_ae_title=refusal.called_ae_title,
        outcome=_outcome(refusal),
        problem=refusal.problem,
        cure=refusal.cure,
        offered=tuple(_offered(offer) for offer in refusal.offers),
    )


def of_peer(refusals: Iterable[RefusalInWords], peer: str) -> tuple[RefusalInWords, ...]:
    """Keep those of one peer, by its AE title, its address, or both as ``peer`` has them; all where it is empty."""
    return tuple(one for one in refusals if not peer or peer in (one.peer, one.calling_ae_title, one.peer_address))


def refusal_routes(refusals: Refusals, guard: Guard) -> APIRouter:
    """Give ``/api/refusals``."""
    routes = APIRouter(prefix="/api", dependencies=[Depends(guard.read)])

    @routes.get("/refusals")
    def newest_refusals(
        limit: Annotated[int, Query(ge=1, le=MOST_REFUSALS)] = 50, peer: Annotated[str, Query(max_length=200)] = ""
    ) -> list[RefusalInWords]:
        found = of_peer((in_words(one) for one in refusals.latest(MOST_REFUSALS)), peer)
        return list(found[:limit])

    return routes


def _outcome(refusal: Refusal) -> str:
    if refusal.accepted:
        return "accepted without these contexts"
    if refusal.result is not None:
        by = _REJECTED_BY.get(refusal.source or 0, "an unknown source")
        numbers = f"{refusal.result}, {refusal.source}, {refusal.reason}"
        return f"{_RESULTS.get(refusal.result, 'rejected')} by the {by} (result, source, reason: {numbers})"
    if refusal.source is not None:
        by = _ABORTED_BY.get(refusal.source, "an unknown source")
        return f"aborted by the {by} (source, reason: {refusal.source}, {refusal.reason})"
    return "connection closed"


def _offered(offer: Offer) -> Offered:
    return Offered(_name(offer.abstract_syntax), tuple(_name(one) for one in offer.transfer_syntaxes))


def _name(uid: str) -> str:
    return UID(uid).name.removesuffix(" Storage")
