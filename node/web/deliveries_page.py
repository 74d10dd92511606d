"""The page of deliveries: what is on its way, what failed and why, what is stored and by which proof."""

from contextlib import suppress
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from inference.errors import Unavailable, UnknownName
from node.store import DeliveryState
from node.web.access.caller import Caller
from node.web.deliveries import DeliveryDesk, delivery_routes
from node.web.form import read_form
from node.web.guard import Guard
from node.web.pages import Pages

DELIVERIES_SHOWN = 50
SHOWN = {
    "": ("everything", tuple(DeliveryState)),
    "failed": ("given up", (DeliveryState.FAILED,)),
    "queued": ("on their way", (DeliveryState.QUEUED,)),
    "sent": ("sent, not proven to be stored", (DeliveryState.SENT,)),
    "stored": ("stored, proven", (DeliveryState.STORED,)),
}
"""What the filter offers: its words, and the states."""
SENDING_SECONDS = 2


def deliveries_page(desk: DeliveryDesk, pages: Pages, guard: Guard) -> APIRouter:
    """Give ``/deliveries``, its forms, and the JSON under ``/api/deliveries``."""
    routes = APIRouter()
    routes.include_router(delivery_routes(desk, guard))

    @routes.get("/deliveries")
    def show(
        caller: Annotated[Caller, Depends(guard.page)],
        state: Annotated[str, Query(max_length=16)] = "",
        destination: Annotated[str, Query(max_length=64)] = "",
        after: Annotated[str, Query(max_length=128)] = "",
    ) -> Response:
        if state not in SHOWN:
            raise UnknownName("There is no such state.", cure="Choose one on the page of deliveries.")
        resending = desk.resending
        return pages.show(
            "deliveries.html",
            caller=caller,
            here="/deliveries",
            page=desk.page(SHOWN[state][1], destination, after=after, limit=DELIVERIES_SHOWN),
            shown={name: words for name, (words, _) in SHOWN.items()},
            chosen={"state": state, "destination": destination},
            first=not after,
            resending=resending,
            refresh_seconds=SENDING_SECONDS if resending.state == "running" else 0,
        )

    @routes.post("/deliveries/resend-failed")
    async def resend_failed(caller: Annotated[Caller, Depends(guard.operate)]) -> Response:
        with suppress(Unavailable):  # this is under way: the page shows it
            await run_in_threadpool(desk.resend_failed, caller.name)
        return RedirectResponse("/deliveries", status_code=303)

    @routes.post("/deliveries/{consignment_id:path}/resend", dependencies=[Depends(guard.operate)])
    async def resend(consignment_id: str, request: Request) -> Response:
        form = await read_form(request)
        await run_in_threadpool(desk.resend, consignment_id)
        back = {name: form[name] for name in ("state", "destination", "after") if form.get(name)}
        return RedirectResponse(f"/deliveries?{urlencode(back)}" if back else "/deliveries", status_code=303)

    return routes
