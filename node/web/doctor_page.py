"""The association doctor's page: who was refused what, and the cure."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from node.associations.refusals import Refusals
from node.web.access.caller import Caller
from node.web.guard import Guard
from node.web.pages import Pages
from node.web.refusals import MOST_REFUSALS, in_words, of_peer

REFUSALS_SHOWN = 100


def doctor_page(refusals: Refusals, guard: Guard, pages: Pages) -> APIRouter:
    """Give ``/doctor``; ``?peer=`` keeps those of one peer."""
    routes = APIRouter()

    @routes.get("/doctor")
    def show(
        caller: Annotated[Caller, Depends(guard.page)], peer: Annotated[str, Query(max_length=200)] = ""
    ) -> Response:
        every = [in_words(one) for one in refusals.latest(MOST_REFUSALS)]
        return pages.show(
            "doctor.html",
            caller=caller,
            here="/doctor",
            refusals=of_peer(every, peer)[:REFUSALS_SHOWN],
            peers=sorted({one.peer for one in every}),
            peer=peer,
        )

    return routes
