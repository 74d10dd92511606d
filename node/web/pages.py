"""The pages: a list of studies, one study, and the door. No script, nothing from other hosts."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.concurrency import run_in_threadpool

from node.store import DeliveryState, JobState, StudyState
from node.web.access.caller import Caller
from node.web.access.security import COOKIE
from node.web.access.sessions import SESSION_SECONDS
from node.web.form import read_form
from node.web.guard import Guard
from node.web.opinions import POINTED_WIDTH
from node.web.overview import SHOWN, Job, Overview, Study
from node.web.timeline import timeline
from reports.picture.layout import MAP_OFFSET, WIDTH

FOLDER = Path(__file__).parent / "templates"
PAGES = (
    ("/", "Overview"), ("/studies", "Studies"), ("/models", "Models"), ("/quality", "Quality"), ("/rules", "Rules"),
    ("/deliveries", "Deliveries"), ("/doctor", "Doctor"), ("/ledger", "Ledger"),
)  # fmt: skip
"""What the header leads to."""
STUDIES_SHOWN = 50
SIGNALS_LISTED, SIGNALS_SHOWN = 4, 7
"""Of each study in the list, and of each map before one asks for more; the weightiest where there is a score."""
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
        self._environment.filters |= {"moment": moment, "number": number, "interval": interval, "commands": commands}
        self._environment.globals |= {
            "ae_title": ae_title,
            "PAGES": PAGES,
            "here": "",
            "whereabouts": whereabouts,
            "busy": busy,
            "SIGNALS_LISTED": SIGNALS_LISTED,
            "SIGNALS_SHOWN": SIGNALS_SHOWN,
            "POINTED_WIDTH": POINTED_WIDTH,
            "CAPTURE_WIDTH": WIDTH,
            "MAP_OFFSET": MAP_OFFSET,
        }

    def show(
        self, template: str, *, caller: Caller | None = None, status_code: int = 200, **values: Any
    ) -> HTMLResponse:
        """Give one page, with what its caller may do; without a caller there is only the page itself."""
        text = self._environment.get_template(template).render(caller=caller, **values)
        return HTMLResponse(text, status_code)


def console_pages(overview: Overview, guard: Guard, pages: Pages, obstacles: Callable[[], Sequence[str]]) -> APIRouter:
    """Give studies and the door; their list begins with the ``obstacles`` that keep the node from taking any."""
    routes = APIRouter()

    Known = Annotated[Caller, Depends(guard.page)]  # noqa: N806 - a type

    @routes.get("/studies")
    def list_page(
        caller: Known,
        refresh: Annotated[str, Query(pattern="^(on|off)$")] = "on",
        show: Annotated[str, Query(max_length=16)] = "",
        before: datetime | None = None,
    ) -> Response:
        studies = overview.newest(STUDIES_SHOWN + 1, show, before=before)
        more, studies = len(studies) > STUDIES_SHOWN, studies[:STUDIES_SHOWN]
        seconds = BUSY_SECONDS if any(busy(study) for study in studies) else IDLE_SECONDS
        return pages.show(
            "studies.html",
            caller=caller,
            here="/studies",
            studies=studies,
            obstacles=obstacles(),
            kinds=tuple(SHOWN),
            show=show,
            before=before,
            older=studies[-1].first_received_at.isoformat() if more else "",
            refresh_seconds=seconds if refresh == "on" and before is None else 0,
        )

    @routes.get("/studies/{key}")
    def study_page(key: str, caller: Known) -> Response:
        study, events = overview.study(key)
        seconds = BUSY_SECONDS if busy(study) else 0
        line = timeline(study, events)
        return pages.show("study.html", caller=caller, study=study, timeline=line, refresh_seconds=seconds)

    @routes.get("/login")
    def login_page() -> Response:
        return pages.show("login.html", wrong=False)

    @routes.post("/login", dependencies=[Depends(guard.form)])
    async def log_in(request: Request) -> Response:
        given = (await read_form(request)).get("token", "").strip()
        session = await run_in_threadpool(guard.door.log_in, given)
        if session is None:
            return pages.show("login.html", wrong=True, status_code=401)
        answer = RedirectResponse("/", status_code=303)
        answer.set_cookie(
            COOKIE,
            session,
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            secure=guard.is_https(request),
        )
        return answer

    @routes.post("/logout", dependencies=[Depends(guard.form)])
    async def log_out(request: Request) -> Response:
        await run_in_threadpool(guard.door.log_out, request.cookies.get(COOKIE, ""))
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


def commands(sentence: str) -> Markup:
    """Set what stands between backticks as commands."""
    parts = enumerate(sentence.split("`"))
    return Markup("").join(Markup("<code>{}</code>").format(part) if odd % 2 else part for odd, part in parts)


def number(value: float | None) -> str:
    """Write a quantity with two decimals; a dash where there is none."""
    return "\N{EN DASH}" if value is None else f"{value:.2f}".replace("-", "\N{MINUS SIGN}")


def interval(bounds: Sequence[float] | None) -> str:
    """Write an interval; nothing where there is none."""
    return "" if bounds is None else f"[{number(bounds[0])}, {number(bounds[1])}]"
