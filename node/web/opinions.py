"""Opinions: forms on a study's page by which a radiologist accepts or rejects an overlay, or points elsewhere."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from inference.errors import Refused
from node.audit.opinions import Opinions, Place
from node.web.access.caller import Principal
from node.web.guard import Guard, read_form

POINTED_WIDTH = 300
"""Width in CSS pixels of the plane that is pointed at; a click is sent in these."""
_CURE = "Point at it in the picture, or give row and column, from 0."


def opinion_routes(opinions: Opinions, guard: Guard) -> APIRouter:
    """Make ``POST /studies/{key}/opinion``."""
    routes = APIRouter()

    @routes.post("/studies/{key}/opinion")
    async def give(key: str, request: Request, caller: Annotated[Principal, Depends(guard.operate)]) -> Response:
        form = await read_form(request)
        await run_in_threadpool(_give, opinions, form, caller.name)
        return RedirectResponse(f"/studies/{key}", status_code=303)

    return routes


def _give(opinions: Opinions, form: Mapping[str, str], by_whom: str) -> None:
    overlay = form.get("result", "")
    place = _pointed(form, opinions.overlay(overlay).explanation) if "at.x" in form else _typed(form)
    opinions.give(overlay, form.get("word", ""), by_whom=by_whom, place=place)


def _pointed(form: Mapping[str, str], explanation: Mapping[str, Any]) -> Place:
    """Turn a click on the plane (HTML 4.10.5.1.19) into row and column of the source image.

    Raises:
        Refused: nothing was pointed at; a picture that is activated by the keyboard sends 0, 0.
    """
    x, y = _number(form.get("at.x")), _number(form.get("at.y"))
    if "panel" not in explanation or "shape" not in explanation or not (x or y):
        raise Refused("Nothing was pointed at.", cure=_CURE)
    _, _, width, height = explanation["panel"]
    rows, columns = explanation["shape"]
    scale = width / POINTED_WIDTH
    return int((y + 0.5) * scale * rows / height), int((x + 0.5) * scale * columns / width)


def _typed(form: Mapping[str, str]) -> Place | None:
    """Read row and column, from 0 like those of the peak; None where neither is given."""
    given = [form.get(name, "").strip() for name in ("row", "column")]
    return (_number(given[0]), _number(given[1])) if any(given) else None


def _number(text: str | None) -> int:
    if text is None or not (text.isascii() and text.isdigit() and len(text) <= 6):
        raise Refused("A place is a row and a column, in whole numbers.", cure=_CURE)
    return int(text)
