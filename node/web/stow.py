"""STOW-RS, the second door in (PS3.18 10.5): the same inbox, and so the same guarantees, as C-STORE.

Each instance is kept, durably, as soon as its part is whole; the answer names every one. A request that breaks off
leaves what was kept before, and the same request again adds what is missing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from starlette.concurrency import run_in_threadpool

from inference.errors import HeatproofError, Unavailable
from node.metrics import Metrics
from node.receiving.inbox import Inbox
from node.receiving.inspection import Arrival
from node.receiving.listener import TRANSFER_SYNTAXES
from node.receiving.multipart import boundary_of, parts_of
from node.receiving.part10 import CLASS, INSTANCE, SYNTAX, file_meta
from node.store import now
from node.web.access.proxy import sent_by
from node.web.guard import Guard

PATH = "/dicomweb/studies"
SENDER = "STOW-RS"
"""What stands in the place of a calling AE title."""
JSON = "application/dicom+json"
UNSUPPORTED_SYNTAX = 0xC122


@dataclass(frozen=True)
class StowBounds:
    """What one request, and all of them together, may ask for."""

    request_bytes: int = 4 << 30
    part_bytes: int = 512 << 20
    """Of one instance (node.maximum_message_mebibytes); a request takes so much memory, twice while it is kept."""
    parts: int = 4096
    at_once: int = 2
    """Requests under way; one more is asked to come back."""


BOUNDS = StowBounds()


@dataclass(frozen=True)
class Outcome:
    """What became of one part."""

    sop_class_uid: str
    sop_instance_uid: str
    reason: int = 0
    """Failure Reason (0008,1197); 0: it is kept."""
    may_work_later: bool = False


def stow_routes(inbox: Inbox, metrics: Metrics, guard: Guard, bounds: StowBounds = BOUNDS) -> APIRouter:
    """Give ``POST /dicomweb/studies``."""
    routes = APIRouter()
    under_way = [0]

    @routes.post(PATH, dependencies=[Depends(guard.operate)])
    async def store(request: Request) -> Response:
        if under_way[0] >= bounds.at_once:
            raise HTTPException(503, ("Enough studies come in already.", "Try again."), {"Retry-After": "10"})
        boundary = boundary_of(request.headers.get("content-type", ""))
        under_way[0] += 1
        try:
            parts = parts_of(request.stream(), boundary, most_parts=bounds.parts, most_part_bytes=bounds.part_bytes)
            outcomes = [await run_in_threadpool(_keep, inbox, metrics, part, sent_by(request)) async for part in parts]
        finally:
            under_way[0] -= 1
        if not outcomes:
            raise HTTPException(400, ("There is no instance in the request.", "Send one in each part."))
        return _answer(outcomes)

    return routes


def _keep(inbox: Inbox, metrics: Metrics, part: bytes, peer_address: str) -> Outcome:
    """Hand one part to the inbox."""
    sop_class_uid = sop_instance_uid = ""
    try:
        meta, start = file_meta(part)
        sop_class_uid, sop_instance_uid = meta.get(CLASS, ""), meta.get(INSTANCE, "")
        if meta.get(SYNTAX) not in TRANSFER_SYNTAXES:
            metrics.instance("refused")
            return Outcome(sop_class_uid, sop_instance_uid, UNSUPPORTED_SYNTAX)
        arrival = Arrival(
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            transfer_syntax_uid=meta[SYNTAX],
            encoded=part[start:],
            calling_ae_title=SENDER,
            peer_address=peer_address,
            received_at=now(),
        )
        receipt = inbox.keep(arrival)
    except HeatproofError as error:
        metrics.instance(error.audit_outcome)
        return Outcome(sop_class_uid, sop_instance_uid, error.dimse_status, isinstance(error, Unavailable))
    metrics.instance(receipt.outcome, size_bytes=receipt.instance.size_bytes if receipt.instance else 0)
    return Outcome(sop_class_uid, sop_instance_uid)


def _answer(outcomes: Sequence[Outcome]) -> Response:
    """Give the Store Instances Response (PS3.18 I.2) with the status of table 10.5.3-1."""
    failed = [outcome for outcome in outcomes if outcome.reason]
    named = [_failure(outcome) for outcome in failed if outcome.sop_instance_uid]
    nameless = [_failure(outcome) for outcome in failed if not outcome.sop_instance_uid]
    kept = [{**_reference(outcome), "00081190": {"vr": "UR"}} for outcome in outcomes if not outcome.reason]
    told: dict[str, Any] = {"00081190": {"vr": "UR"}}  # nothing is given back here: see /api/results
    for tag, items in (("00081198", named), ("00081199", kept), ("0008119A", nameless)):
        if items:
            told[tag] = {"vr": "SQ", "Value": items}
    status, headers = 200, {}
    if failed:
        status = 202 if kept else 409
    if failed and not kept and all(outcome.may_work_later for outcome in failed):
        status, headers = 503, {"Retry-After": "60"}
    return Response(json.dumps(told), status, headers, media_type=JSON)


def _failure(outcome: Outcome) -> dict[str, Any]:
    reference = _reference(outcome) if outcome.sop_instance_uid else {}
    return {**reference, "00081197": {"vr": "US", "Value": [outcome.reason]}}


def _reference(outcome: Outcome) -> dict[str, Any]:
    return {
        "00081150": {"vr": "UI", "Value": [outcome.sop_class_uid]},
        "00081155": {"vr": "UI", "Value": [outcome.sop_instance_uid]},
    }
