"""Rendering: the templates, error answers as page or JSON, and the login. No script, nothing from other hosts."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from sqlalchemy.exc import DBAPIError
from starlette.concurrency import run_in_threadpool

from node.store import now
from node.web.access.caller import Principal
from node.web.access.security import COOKIE
from node.web.access.sessions import SESSION_SECONDS
from node.web.guard import HEADERS, Guard, read_form
from node.web.opinions import POINTED_WIDTH
from node.web.study_records import uid_name
from reports.glossary import PAGE, TERMS, VERDICTS
from reports.picture.layout import MAP_OFFSET, WIDTH
from reports.wording import percent

FOLDER = Path(__file__).parent / "templates"
PAGES = (
    ("/", "Overview"), ("/studies", "Studies"), ("/models", "Models"), ("/audit", "Audit"), ("/rules", "Rules"),
    ("/deliveries", "Deliveries"), ("/doctor", "Doctor"), ("/ledger", "Ledger"), ("/retention", "Retention"),
)  # fmt: skip
"""Links of the header."""
SIGNALS_SHOWN = 7
"""Of each map before "more signals"; those of most weight where there is a score."""
SENTENCES = {
    401: (
        "The access token is missing, wrong or expired.",
        "Send one as 'Authorization: Bearer ...'; `heatproof token add` makes one.",
    ),
    403: ("This is not allowed.", "Ask for a token with the scope it needs."),
    404: ("There is no such page.", "The list of studies is at /studies."),
    405: ("This address does not accept that method.", "Use GET."),
    408: ("The request took too long to arrive.", "Send it again."),
    413: ("The request is too long.", "Send less at once."),
    421: ("This name is not one of this node's.", "Add it to http.hosts, or call the node by its address."),
    431: ("The headers of the request are too long.", "Send shorter ones."),
    415: ("Compressed request bodies are not accepted.", "Send it without Content-Encoding."),
}
"""Message and cure by HTTP status."""
UNNAMED = ("The request cannot be answered.", "The list of studies is at /studies.")


@dataclass(frozen=True)
class Freshness:
    """When a page was made, and how it is made anew: by a link, or by itself where its address asks for that.

    No page refreshes unasked: it would take away what somebody is typing and where their keyboard stands.
    """

    address: str
    """Of the page with its filters, without that it refreshes by itself."""
    seconds: int
    """How often it can refresh by itself; 0: nothing on it is in progress."""
    every_seconds: int
    """How often it does; 0: not by itself."""
    made_at: datetime = field(default_factory=now)

    @classmethod
    def of(cls, request: Request, seconds: int) -> Self:
        """Take it from what was asked for; see ``seconds``."""
        query = urlencode([pair for pair in request.query_params.multi_items() if pair[0] != "refresh"])
        address = f"{request.url.path}?{query}" if query else request.url.path
        return cls(address, seconds, seconds if request.query_params.get("refresh") == "on" else 0)

    @property
    def repeated(self) -> str:
        """Address of the page that refreshes by itself."""
        return f"{self.address}{'&' if '?' in self.address else '?'}refresh=on"


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
        self._environment.filters |= {
            "moment": moment, "clock": clock, "number": number, "percent": percent, "interval": interval,
            "commands": commands, "uid_name": uid_name,
        }  # fmt: skip
        self._environment.globals |= {
            "ae_title": ae_title,
            "PAGES": PAGES,
            "here": "",
            "SIGNALS_SHOWN": SIGNALS_SHOWN,
            "POINTED_WIDTH": POINTED_WIDTH,
            "OVERLAY_WIDTH": WIDTH,
            "MAP_OFFSET": MAP_OFFSET,
        }

    def show(
        self, template: str, *, caller: Principal | None = None, status_code: int = 200, **values: Any
    ) -> HTMLResponse:
        """Render one page with the actions its caller may take; without a caller it has no header links."""
        text = self._environment.get_template(template).render(caller=caller, **values)
        return HTMLResponse(text, status_code)


class ErrorAnswers:
    """The exception handlers of the application: a page for browsers, JSON for others; no stack, no patient data."""

    def __init__(self, pages: Pages, caller_of: Callable[[Request], Principal | None]) -> None:
        """Bind to the templates; ``caller_of`` authenticates a request that no route has."""
        self._pages = pages
        self._caller_of = caller_of

    def ours(self, request: Request, error: Any) -> Response:
        """Answer an error of :mod:`inference.errors` with the HTTP status of its class."""
        return self._answer(request, error.http_status, str(error.args[0]), error.cure)

    def http(self, request: Request, error: Any) -> Response:
        """Answer an HTTPException of routing or the guard."""
        headers = dict(error.headers or {})
        if error.status_code == 303:
            return RedirectResponse(headers["Location"], status_code=303)
        known = SENTENCES.get(error.status_code, UNNAMED)
        message, cure = error.detail if isinstance(error.detail, tuple) else known
        answer = self._answer(request, error.status_code, message, cure)
        answer.headers.update(headers)
        return answer

    def invalid(self, request: Request, error: Any) -> Response:
        """Name the parameters that are not valid, without their values."""
        wrong = ", ".join(sorted({str(problem["loc"][-1]) for problem in error.errors()}))
        return self._answer(request, 422, f"A parameter is not valid: {wrong}.", "Leave it out to get the default.")

    def beyond(self, request: Request, _error: Any) -> Response:
        """Answer a number, date or text that no column of the store can hold."""
        return self._answer(request, 422, "A parameter is out of range.", "Leave it out to get the default.")

    def store_away(self, request: Request, _error: Any) -> Response:
        """Answer a request while the store does not answer, as on a full disk."""
        answer = self._answer(request, 503, "The store does not answer.", "Try again; see the node's disk.")
        answer.headers["Retry-After"] = "10"
        return answer

    def unforeseen(self, request: Request, _error: Any) -> Response:
        """Answer an error that nobody handled; the log has the place where it was raised."""
        answer = self._answer(request, 500, "The node failed to answer.", "Look into its log at this time.")
        answer.headers.update(HEADERS | {"Connection": "close"})  # it passes no middleware, and the server hangs up
        return answer

    def _answer(self, request: Request, status: int, message: str, cure: str) -> Response:
        if "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/"):
            caller, said = self._caller(request, status), {"message": message, "cure": cure}
            return self._pages.show("error.html", caller=caller, status_code=status, status=status, **said)
        return JSONResponse({"status": status, "message": message, "cure": cure}, status_code=status)

    def _caller(self, request: Request, status: int) -> Principal | None:
        """Return who asks, so that the page keeps its navigation; None where that is not known."""
        known: Principal | None = getattr(request.state, "caller", None)
        if known is None and status in (404, 405):  # no route, and so no guard, has seen it
            with suppress(HTTPException, DBAPIError):
                return self._caller_of(request)
        return known


def login_routes(pages: Pages, guard: Guard) -> APIRouter:
    """Make ``/login``, ``/logout`` and the style sheet, which need no scope, and ``/glossary``."""
    routes = APIRouter()

    @routes.get("/login")
    def login_page() -> Response:
        return pages.show("login.html", wrong=False)

    @routes.post("/login", dependencies=[Depends(guard.form)])
    async def log_in(request: Request) -> Response:
        token = (await read_form(request)).get("token", "").strip()
        session = await run_in_threadpool(guard.authenticator.log_in, token)
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
        await run_in_threadpool(guard.authenticator.log_out, request.cookies.get(COOKIE, ""))
        answer = RedirectResponse("/login", status_code=303)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer

    @routes.get("/glossary")
    def glossary(caller: Annotated[Principal, Depends(guard.page)]) -> Response:
        return pages.show("glossary.html", caller=caller, here=PAGE, terms=TERMS, verdicts=VERDICTS)

    @routes.get("/console.css")
    def style() -> FileResponse:
        return FileResponse(FOLDER / "console.css", media_type="text/css")

    return routes


def moment(time: datetime) -> str:
    """Write a time on the node's clock, with its zone."""
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def clock(time: datetime) -> str:
    """Write a time on the node's clock to the minute."""
    return time.astimezone().strftime("%Y-%m-%d %H:%M")


def commands(sentence: str) -> Markup:
    """Set the parts between backticks as ``<code>``."""
    parts = enumerate(sentence.split("`"))
    return Markup("").join(Markup("<code>{}</code>").format(part) if odd % 2 else part for odd, part in parts)


def number(value: float | None) -> str:
    """Write a quantity with two decimals; a dash where there is none."""
    return "\N{EN DASH}" if value is None else f"{value:.2f}".replace("-", "\N{MINUS SIGN}")


def interval(bounds: Sequence[float] | None) -> str:
    """Write an interval; nothing where there is none."""
    return "" if bounds is None else f"[{number(bounds[0])}, {number(bounds[1])}]"
