"""Where results are: what is on its way, what failed, and sending it again."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import RedirectResponse

from node.api.guard import Guard
from node.destinations.consignments import Consignments
from node.store import DeliveryState

MOST_LISTED = 1000
Resend = Callable[[str, str], int]
"""Sends again, now, what one job has for one destination; gives the number of objects."""


def delivery_routes(consignments: Consignments, resend: Resend, guard: Guard) -> APIRouter:
    """Give ``/api/deliveries`` and what its buttons do."""
    routes = APIRouter()

    @routes.get("/api/deliveries", dependencies=[Depends(guard.read)])
    def all_deliveries(
        state: Annotated[list[DeliveryState] | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 200,
    ) -> list[dict[str, Any]]:
        return [asdict(consignment) for consignment in consignments.all(*(state or ()))[:limit]]

    @routes.post("/api/deliveries/resend-failed", dependencies=[Depends(guard.operate)])
    def resend_failed() -> dict[str, int]:
        failed = consignments.all(DeliveryState.FAILED)
        return {"deliveries": len(failed), "objects": sum(resend(one.job_id, one.destination) for one in failed)}

    @routes.post("/api/deliveries/{consignment_id:path}/resend", dependencies=[Depends(guard.operate)])
    def resend_one(consignment_id: str) -> dict[str, int]:
        one = consignments.named(consignment_id)
        return {"deliveries": 1, "objects": resend(one.job_id, one.destination)}

    @routes.post("/studies/{key}/resend/{consignment_id:path}", dependencies=[Depends(guard.operate)])
    def resend_from_page(key: str, consignment_id: str) -> RedirectResponse:
        one = consignments.named(consignment_id)
        resend(one.job_id, one.destination)
        return RedirectResponse(f"/studies/{key}", status_code=303)

    return routes
