"""The pages: a list of studies, one study, and the door. No script, nothing from other hosts."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from node.api.guard import Guard
from node.api.overview import Job, Overview, Study
from node.security import COOKIE, SESSION_SECONDS, AccessToken
from node.store import DeliveryState, JobState, StudyState

FOLDER = Path(__file__).parent
STUDIES_SHOWN = 50
SIGNALS_LISTED, SIGNALS_SHOWN = 4, 7
"""Of each study in the list, and of each map before one asks for more; the weightiest where there is a score."""
LONGEST_FORM = 4096
"""Bytes of a login form."""
BUSY_SECONDS, IDLE_SECONDS = 10, 60
"""How often the list shows itself anew while something moves, and while nothing does."""


class Pages:
    """Renders the templates of this folder."""

    def __init__(self, ae_title: str) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(FOLDER),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {"moment": moment, "number": number, "interval": interval}
        self._environment.globals |= {
            "ae_title": ae_title,
            "whereabouts": whereabouts,
            "busy": busy,
            "SIGNALS_LISTED": SIGNALS_LISTED,
            "SIGNALS_SHOWN": SIGNALS_SHOWN,
        }

    def show(self, template: str, *, status_code: int = 200, **values: Any) -> HTMLResponse:
        """Give one page."""
        return HTMLResponse(self._environment.get_template(template).render(**values), status_code)


def console_pages(
    overview: Overview, guard: Guard, token: AccessToken, pages: Pages, obstacles: Callable[[], Sequence[str]]
) -> APIRouter:
    """Give the console's routes; the list begins with the ``obstacles`` that keep the node from taking studies."""
    routes = APIRouter()

    @routes.get("/", dependencies=[Depends(guard.page)])
    def list_page(refresh: Annotated[str, Query(pattern="^(on|off)$")] = "on") -> Response:
        studies = overview.newest(STUDIES_SHOWN)
        seconds = BUSY_SECONDS if any(busy(study) for study in studies) else IDLE_SECONDS
        return pages.show(
            "studies.html",
            studies=studies,
            obstacles=obstacles(),
            refresh_seconds=seconds if refresh == "on" else 0,
        )

    @routes.get("/studies/{key}", dependencies=[Depends(guard.page)])
    def study_page(key: str) -> Response:
        study, events = overview.study(key)
        return pages.show("study.html", study=study, events=events, refresh_seconds=BUSY_SECONDS if busy(study) else 0)

    @routes.get("/login")
    def login_page() -> Response:
        return pages.show("login.html", wrong=False)

    @routes.post("/login", dependencies=[Depends(guard.form)])
    async def log_in(request: Request) -> Response:
        if not token.matches(await _given_token(request)):
            return pages.show("login.html", wrong=True, status_code=401)
        answer = RedirectResponse("/", status_code=303)
        secure = request.url.scheme == "https"
        answer.set_cookie(
            COOKIE, token.session(), max_age=SESSION_SECONDS, httponly=True, samesite="strict", secure=secure
        )
        return answer

    @routes.post("/logout", dependencies=[Depends(guard.form)])
    async def log_out() -> Response:
        answer = RedirectResponse("/login", status_code=303)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer

    @routes.get("/console.css")
    def style() -> FileResponse:
        return FileResponse(FOLDER / "console.css", media_type="text/css")

    return routes


def busy(study: Study) -> bool:
    """Say whether something about this study is still moving."""
    return (
        study.state in (StudyState.RECEIVING, StudyState.COMPLETE)
        or any(job.state in (JobState.QUEUED, JobState.RUNNING) for job in study.jobs)
        or any(counts[DeliveryState.QUEUED] for job in study.jobs for counts in whereabouts(job).values())
    )


def whereabouts(job: Job) -> dict[str, Counter[str]]:
    """Count, for each destination, the results in each state of delivery."""
    found: dict[str, Counter[str]] = {}
    for result in job.results:
        for delivery in result.deliveries:
            found.setdefault(delivery.destination, Counter())[delivery.state] += 1
    return found


def moment(time: datetime) -> str:
    """Write a time on the node's clock, with its zone."""
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def number(value: float | None) -> str:
    """Write a quantity with two decimals; a dash where there is none."""
    return "\N{EN DASH}" if value is None else f"{value:.2f}".replace("-", "\N{MINUS SIGN}")


def interval(bounds: Sequence[float] | None) -> str:
    """Write an interval; nothing where there is none."""
    return "" if bounds is None else f"[{number(bounds[0])}, {number(bounds[1])}]"


async def _given_token(request: Request) -> str:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_FORM:
            raise HTTPException(413)
    return parse_qs(body.decode("ascii", errors="replace")).get("token", [""])[0].strip()
