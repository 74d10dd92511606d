"""Deliveries: what each destination has of each job, what failed and why, and sending it again; page and JSON."""

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from inference.errors import Unavailable, UnknownName
from node.delivery.consignments import Consignment, Consignments
from node.store import DeliveryState
from node.web.access.caller import Principal
from node.web.background import BackgroundTask, Progress, ReportProgress
from node.web.guard import Guard, read_form
from node.web.pages import Freshness, Pages
from reports.audit.ledger import Ledger

MOST_LISTED = 500
DELIVERIES_SHOWN = 50
STATES_SHOWN = {
    "": ("all", tuple(DeliveryState)),
    "failed": ("failed", (DeliveryState.FAILED,)),
    "queued": ("queued", (DeliveryState.QUEUED,)),
    "sent": ("sent, storage not confirmed", (DeliveryState.SENT,)),
    "stored": ("stored, confirmed", (DeliveryState.STORED,)),
}
"""What the page's filter offers: its label, and the states."""
SENDING_SECONDS = 2
"""How often the page can refresh while failed deliveries are sent again."""
Resend = Callable[[str, str], int]
"""Queues again what one job has for one destination; returns the number of objects."""


@dataclass(frozen=True)
class ListedConsignment(Consignment):
    """A consignment, and the key of its study."""

    study: str


@dataclass(frozen=True)
class DeliveriesPage:
    """Some deliveries, the latest change first."""

    deliveries: tuple[ListedConsignment, ...]
    after: str
    """What the next page is asked for with; empty: there is none."""
    counts: dict[str, dict[str, int]]
    """Objects by destination and state, of all there are."""


class DeliveryDesk:
    """What page and API ask of the deliveries."""

    def __init__(self, consignments: Consignments, resend: Resend, ledger: Ledger) -> None:
        self._consignments = consignments
        self._resend = resend
        self._ledger = ledger
        self._resending: BackgroundTask[int] = BackgroundTask("resend")

    def page(self, states: Collection[DeliveryState], destination: str, *, after: str, limit: int) -> DeliveriesPage:
        """List some deliveries; of all states where none is named.

        Raises:
            UnknownName: there is no such page.
        """
        some, going_on = self._consignments.page(states or tuple(DeliveryState), destination, after=after, limit=limit)
        listed = tuple(ListedConsignment(**vars(consignment), study=self._study(consignment)) for consignment in some)
        return DeliveriesPage(listed, going_on, self._consignments.counts())

    def resend(self, consignment_id: str) -> int:
        """Queue one delivery again; return the number of objects.

        Raises:
            UnknownName: there is none of this id.
        """
        consignment = self._consignments.named(consignment_id)
        return self._resend(consignment.job_id, consignment.destination)

    def failed(self) -> tuple[Consignment, ...]:
        """List what has failed."""
        return self._consignments.all(DeliveryState.FAILED)

    def resend_failed(self, by_whom: str) -> None:
        """Begin to queue again everything that has failed, in the background.

        Raises:
            Unavailable: this is in progress already.
        """
        failed = self.failed()

        def work(report: ReportProgress) -> int:
            objects = 0
            for number, consignment in enumerate(failed, start=1):
                objects += self._resend(consignment.job_id, consignment.destination)
                report(number)
            return objects

        self._resending.start(work, of=len(failed), by_whom=by_whom)

    @property
    def resending(self) -> Progress[int]:
        """How far that is."""
        return self._resending.progress

    def _study(self, consignment: Consignment) -> str:
        return self._ledger.pseudonym(self._consignments.study(consignment.job_id))


def delivery_routes(desk: DeliveryDesk, pages: Pages, guard: Guard) -> APIRouter:
    """Make ``/deliveries`` with its forms, that of a study's page, and ``/api/deliveries``."""
    routes = APIRouter()
    routes.include_router(_api(desk, guard))

    @routes.get("/deliveries")
    def show(
        request: Request,
        caller: Annotated[Principal, Depends(guard.page)],
        state: Annotated[str, Query(max_length=16)] = "",
        destination: Annotated[str, Query(max_length=64)] = "",
        after: Annotated[str, Query(max_length=128)] = "",
    ) -> Response:
        if state not in STATES_SHOWN:
            raise UnknownName("There is no such state.", cure="Choose one on the page of deliveries.")
        resending = desk.resending
        return pages.show(
            "deliveries.html",
            caller=caller,
            here="/deliveries",
            page=desk.page(STATES_SHOWN[state][1], destination, after=after, limit=DELIVERIES_SHOWN),
            shown={name: label for name, (label, _) in STATES_SHOWN.items()},
            chosen={"state": state, "destination": destination},
            first=not after,
            resending=resending,
            fresh=Freshness.of(request, SENDING_SECONDS if resending.state == "running" else 0),
        )

    @routes.post("/deliveries/resend-failed")
    async def resend_failed(caller: Annotated[Principal, Depends(guard.operate)]) -> Response:
        with suppress(Unavailable):  # this is in progress: the page shows it
            await run_in_threadpool(desk.resend_failed, caller.name)
        return RedirectResponse("/deliveries?refresh=on", status_code=303)

    @routes.post("/deliveries/{consignment_id:path}/resend", dependencies=[Depends(guard.operate)])
    async def resend(consignment_id: str, request: Request) -> Response:
        form = await read_form(request)
        await run_in_threadpool(desk.resend, consignment_id)
        back = {name: form[name] for name in ("state", "destination", "after") if form.get(name)}
        return RedirectResponse(f"/deliveries?{urlencode(back)}" if back else "/deliveries", status_code=303)

    @routes.post("/studies/{key}/resend/{consignment_id:path}", dependencies=[Depends(guard.operate)])
    def resend_from_study(key: str, consignment_id: str) -> RedirectResponse:
        desk.resend(consignment_id)
        return RedirectResponse(f"/studies/{key}", status_code=303)

    return routes


def _api(desk: DeliveryDesk, guard: Guard) -> APIRouter:
    routes = APIRouter(prefix="/api/deliveries")

    @routes.get("", dependencies=[Depends(guard.read)])
    def some_deliveries(
        state: Annotated[list[DeliveryState] | None, Query()] = None,
        destination: Annotated[str, Query(max_length=64)] = "",
        after: Annotated[str, Query(max_length=128)] = "",
        limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 200,
    ) -> DeliveriesPage:
        return desk.page(state or (), destination, after=after, limit=limit)

    @routes.post("/resend-failed", dependencies=[Depends(guard.operate)])
    def resend_failed() -> dict[str, int]:
        failed = desk.failed()
        return {"deliveries": len(failed), "objects": sum(desk.resend(consignment.id) for consignment in failed)}

    @routes.post("/{consignment_id:path}/resend", dependencies=[Depends(guard.operate)])
    def resend_one(consignment_id: str) -> dict[str, int]:
        return {"deliveries": 1, "objects": desk.resend(consignment_id)}

    return routes
