"""Where results are: what is on its way, what failed, and sending it again."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import RedirectResponse

from node.delivery.consignments import Consignment, Consignments
from node.store import DeliveryState
from node.web.chore import Chore, Progress, Say
from node.web.guard import Guard
from reports.audit.ledger import Ledger

MOST_LISTED = 500
Resend = Callable[[str, str], int]
"""Sends again, now, what one job has for one destination; gives the number of objects."""


@dataclass(frozen=True)
class Delivered:
    """What one destination has of one job."""

    id: str
    study: str
    """Its key."""
    destination: str
    states: dict[str, int]
    """Number of objects by state: queued, sent, stored, failed."""
    attempts: int
    """The most of any object."""
    last_error: str | None
    proof: str | None
    """By what it is known to be stored, or that nobody asked."""
    updated_at: datetime


@dataclass(frozen=True)
class DeliveriesPage:
    """Some deliveries, the latest change first."""

    deliveries: tuple[Delivered, ...]
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
        self._chore: Chore[int] = Chore("resend")

    def page(self, states: Collection[DeliveryState], destination: str, *, after: str, limit: int) -> DeliveriesPage:
        """Give some deliveries; all states where none is named.

        Raises:
            UnknownName: there is no such page.
        """
        some, going_on = self._consignments.page(states or tuple(DeliveryState), destination, after=after, limit=limit)
        return DeliveriesPage(tuple(self._told(one) for one in some), going_on, self._consignments.counts())

    def resend(self, consignment_id: str) -> int:
        """Send one again, now; give the number of objects.

        Raises:
            UnknownName: there is none of this id.
        """
        one = self._consignments.named(consignment_id)
        return self._resend(one.job_id, one.destination)

    def failed(self) -> tuple[Consignment, ...]:
        """Give what was given up."""
        return self._consignments.all(DeliveryState.FAILED)

    def resend_failed(self, by_whom: str) -> None:
        """Begin to send again everything that was given up, in the background.

        Raises:
            Unavailable: this is under way.
        """
        failed = self.failed()

        def work(say: Say) -> int:
            objects = 0
            for number, one in enumerate(failed, start=1):
                objects += self._resend(one.job_id, one.destination)
                say(number)
            return objects

        self._chore.start(work, of=len(failed), by_whom=by_whom)

    @property
    def resending(self) -> Progress[int]:
        """How far that is."""
        return self._chore.standing

    def _told(self, one: Consignment) -> Delivered:
        return Delivered(
            id=one.id,
            study=self._ledger.pseudonym(self._consignments.study(one.job_id)),
            destination=one.destination,
            states=one.states,
            attempts=one.attempts,
            last_error=one.last_error,
            proof=one.proof,
            updated_at=one.updated_at,
        )


def delivery_routes(desk: DeliveryDesk, guard: Guard) -> APIRouter:
    """Give ``/api/deliveries`` and what its buttons do."""
    routes = APIRouter()

    @routes.get("/api/deliveries", dependencies=[Depends(guard.read)])
    def some_deliveries(
        state: Annotated[list[DeliveryState] | None, Query()] = None,
        destination: Annotated[str, Query(max_length=64)] = "",
        after: Annotated[str, Query(max_length=128)] = "",
        limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 200,
    ) -> DeliveriesPage:
        return desk.page(state or (), destination, after=after, limit=limit)

    @routes.post("/api/deliveries/resend-failed", dependencies=[Depends(guard.operate)])
    def resend_failed() -> dict[str, int]:
        failed = desk.failed()
        return {"deliveries": len(failed), "objects": sum(desk.resend(one.id) for one in failed)}

    @routes.post("/api/deliveries/{consignment_id:path}/resend", dependencies=[Depends(guard.operate)])
    def resend_one(consignment_id: str) -> dict[str, int]:
        return {"deliveries": 1, "objects": desk.resend(consignment_id)}

    @routes.post("/studies/{key}/resend/{consignment_id:path}", dependencies=[Depends(guard.operate)])
    def resend_from_page(key: str, consignment_id: str) -> RedirectResponse:
        desk.resend(consignment_id)
        return RedirectResponse(f"/studies/{key}", status_code=303)

    return routes
