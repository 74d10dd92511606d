"""STOW-RS (PS3.18 10.5): receives studies by HTTP into the same inbox, and with the same guarantees, as C-STORE.

Each instance is stored durably as soon as its part is complete; the answer names every one. Of a request that breaks
off the instances before stay stored, and the same request again adds those that are missing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from starlette.concurrency import run_in_threadpool

from inference.errors import HeatproofError, Unavailable
from node.associations.shares import Shares
from node.metrics import Metrics
from node.receiving.contexts import TRANSFER_SYNTAXES
from node.receiving.inbox import Inbox
from node.receiving.inspection import Arrival
from node.receiving.multipart import boundary_of, parts_of
from node.receiving.part10 import CLASS, INSTANCE, SYNTAX, read_file_meta
from node.store import now
from node.web.access.caller import Principal
from node.web.access.proxy import sent_by
from node.web.guard import Guard

PATH = "/dicomweb/studies"
SENDER = "STOW-RS"
"""Recorded in the place of a calling AE title."""
JSON = "application/dicom+json"
UNSUPPORTED_SYNTAX = 0xC122


@dataclass(frozen=True)
class StowBounds:
    """Limits of one request, and of all of them together."""

    request_bytes: int = 4 << 30
    part_bytes: int = 512 << 20
    """Of one instance (node.maximum_message_mebibytes); a request takes this much memory, twice while it is stored."""
    parts: int = 4096
    at_once: int = 4
    """Requests in progress; one more is answered 503 with Retry-After."""
    at_once_of_caller: int = 2
    """Of one address and user."""


BOUNDS = StowBounds()


@dataclass(frozen=True)
class PartOutcome:
    """Whether one part was stored."""

    sop_class_uid: str
    sop_instance_uid: str
    reason: int = 0
    """Failure Reason (0008,1197); 0: it is stored."""
    may_work_later: bool = False


def stow_routes(inbox: Inbox, metrics: Metrics, memory: Shares, guard: Guard, bounds: StowBounds = BOUNDS) -> APIRouter:
    """Make ``POST /dicomweb/studies``; ``memory`` is that of all that is being received."""
    routes = APIRouter()
    places = Shares(bounds.at_once, bounds.at_once_of_caller)

    @routes.post(PATH)
    async def store(request: Request, caller: Annotated[Principal, Depends(guard.operate)]) -> Response:
        boundary = boundary_of(request.headers.get("content-type", ""))
        address = sent_by(request)
        place, held = places.lease(f"{address} {caller.name}"), memory.lease(address)
        if not place.hold(1):
            raise HTTPException(
                503, ("Too many STOW-RS requests are in progress.", "Try again later."), {"Retry-After": "10"}
            )
        try:
            parts = parts_of(
                request.stream(),
                boundary,
                most_parts=bounds.parts,
                most_part_bytes=bounds.part_bytes,
                hold=held.hold,
            )
            outcomes = [await run_in_threadpool(_keep, inbox, metrics, part, address) async for part in parts]
        finally:
            place.release()
            held.release()
        if not outcomes:
            raise HTTPException(400, ("There is no instance in the request.", "Send one in each part."))
        return _answer(outcomes)

    return routes


def _keep(inbox: Inbox, metrics: Metrics, part: bytes, peer_address: str) -> PartOutcome:
    """Store one part in the inbox."""
    sop_class_uid = sop_instance_uid = ""
    try:
        meta, start = read_file_meta(part)
        sop_class_uid, sop_instance_uid = meta.get(CLASS, ""), meta.get(INSTANCE, "")
        if meta.get(SYNTAX) not in TRANSFER_SYNTAXES:
            metrics.instance("refused")
            return PartOutcome(sop_class_uid, sop_instance_uid, UNSUPPORTED_SYNTAX)
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
        return PartOutcome(sop_class_uid, sop_instance_uid, error.dimse_status, isinstance(error, Unavailable))
    metrics.instance(receipt.outcome, size_bytes=receipt.instance.size_bytes if receipt.instance else 0)
    return PartOutcome(sop_class_uid, sop_instance_uid)


def _answer(outcomes: Sequence[PartOutcome]) -> Response:
    """Write the Store Instances Response (PS3.18 I.2) with the status of table 10.5.3-1."""
    failed = [outcome for outcome in outcomes if outcome.reason]
    named = [_failure(outcome) for outcome in failed if outcome.sop_instance_uid]
    nameless = [_failure(outcome) for outcome in failed if not outcome.sop_instance_uid]
    kept = [{**_reference(outcome), "00081190": {"vr": "UR"}} for outcome in outcomes if not outcome.reason]
    answer: dict[str, Any] = {"00081190": {"vr": "UR"}}  # empty: instances are not retrieved here
    for tag, items in (("00081198", named), ("00081199", kept), ("0008119A", nameless)):
        if items:
            answer[tag] = {"vr": "SQ", "Value": items}
    status, headers = 200, {}
    if failed:
        status = 202 if kept else 409
    if failed and not kept and all(outcome.may_work_later for outcome in failed):
        status, headers = 503, {"Retry-After": "60"}
    return Response(json.dumps(answer), status, headers, media_type=JSON)


def _failure(outcome: PartOutcome) -> dict[str, Any]:
    reference = _reference(outcome) if outcome.sop_instance_uid else {}
    return {**reference, "00081197": {"vr": "US", "Value": [outcome.reason]}}


def _reference(outcome: PartOutcome) -> dict[str, Any]:
    return {
        "00081150": {"vr": "UI", "Value": [outcome.sop_class_uid]},
        "00081155": {"vr": "UI", "Value": [outcome.sop_instance_uid]},
    }
