"""Refusals: associations and instances, of whom, why, and what to do about it; the doctor's page, and JSON."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy import Engine

from node.associations.refusals import Refusals
from node.associations.request import Refusal
from node.receiving.refused import RefusedInstances, count_refused, latest_refused
from node.web.access.caller import Principal
from node.web.guard import Guard
from node.web.pages import Pages

MOST_REFUSALS = 500
REFUSALS_SHOWN = 100
PeerFilter = Annotated[str, Query(max_length=200)]
_RESULTS = {1: "rejected permanently", 2: "rejected for now"}
_REJECTED_BY = {1: "service user", 2: "service provider (ACSE)", 3: "service provider (presentation)"}
_ABORTED_BY = {0: "service user", 2: "service provider"}


@dataclass(frozen=True, kw_only=True)
class RefusalInWords(Refusal):
    """A refusal, with its peer and its outcome in words."""

    peer: str
    """AE title and address."""
    outcome: str
    """What DICOM calls it, with the numbers of PS3.8 table 9-21."""


Entry = TypeVar("Entry", RefusalInWords, RefusedInstances)


@dataclass(frozen=True)
class RefusedInstancesCounted:
    """The last refused instances, and how many there were in all."""

    count: int
    """By the ledger."""
    latest: list[RefusedInstances]
    """By sender and reason, the newest first."""


def in_words(refusal: Refusal) -> RefusalInWords:
    """Add the words to one refusal."""
    title, address = refusal.calling_ae_title, refusal.peer_address
    peer = f"{title} at {address}" if title else address
    return RefusalInWords(**vars(refusal), peer=peer, outcome=_outcome(refusal))


def refusal_routes(engine: Engine, quarantine: Path, pages: Pages, guard: Guard) -> APIRouter:
    """Make ``/doctor``, ``/api/refusals`` and ``/api/refused-instances``; ``?peer=`` keeps those of one peer."""
    refusals = Refusals(engine)
    routes = APIRouter()

    @routes.get("/doctor")
    def show(caller: Annotated[Principal, Depends(guard.page)], peer: PeerFilter = "") -> Response:
        latest = [in_words(refusal) for refusal in refusals.latest(MOST_REFUSALS)]
        refused = latest_refused(quarantine)
        return pages.show(
            "doctor.html",
            caller=caller,
            here="/doctor",
            refusals=_of_peer(latest, peer)[:REFUSALS_SHOWN],
            refused=_of_peer(refused, peer)[:REFUSALS_SHOWN],
            count=count_refused(engine),
            peers=sorted({entry.peer for entry in latest} | {entry.peer for entry in refused}),
            peer=peer,
        )

    @routes.get("/api/refusals", dependencies=[Depends(guard.read)])
    def newest_refusals(
        limit: Annotated[int, Query(ge=1, le=MOST_REFUSALS)] = 50, peer: PeerFilter = ""
    ) -> list[RefusalInWords]:
        return _of_peer(map(in_words, refusals.latest(MOST_REFUSALS)), peer)[:limit]

    @routes.get("/api/refused-instances", dependencies=[Depends(guard.read)])
    def newest_refused_instances(
        limit: Annotated[int, Query(ge=1, le=MOST_REFUSALS)] = 50, peer: PeerFilter = ""
    ) -> RefusedInstancesCounted:
        return RefusedInstancesCounted(count_refused(engine), _of_peer(latest_refused(quarantine), peer)[:limit])

    return routes


def _of_peer(refusals: Iterable[Entry], peer: str) -> list[Entry]:
    """Keep those of one peer, by its AE title, its address, or both as ``peer`` has them; all where it is empty."""
    return [
        refusal for refusal in refusals if peer in ("", refusal.peer, refusal.calling_ae_title, refusal.peer_address)
    ]


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
