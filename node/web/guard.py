"""What every request passes: who is asking, whether they may, and headers that keep a page to itself."""

from collections.abc import Awaitable, Callable

import structlog
from fastapi import HTTPException, Request, Response
from starlette.concurrency import run_in_threadpool

from node.settings.section import is_loopback
from node.web.access.caller import Caller, Scope
from node.web.access.proxy import LONGEST_NAME, sent_by, was_forwarded
from node.web.access.security import COOKIE, Door, is_own_page
from node.web.form import read_form

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; style-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with no-referrer a browser sends forms with "Origin: null"
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
FORM_TOKEN_HEADER = "x-form-token"  # noqa: S105 - the name of a header
_NOT_FROM_HERE = ("This form did not come from a page of this node.", "Open the console and try again there.")
_SPOOFED = (
    "Only the reverse proxy may say who a user is.",
    "Leave its headers out, or name it in http.proxy.addresses.",
)


class Guard:
    """The dependencies that routes name: ``Depends(guard.operate)``; each gives the :class:`Caller`."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.read = Needs(self, Scope.READ)
        self.operate = Needs(self, Scope.OPERATE)
        self.audit = Needs(self, Scope.AUDIT)
        self.page = Needs(self, Scope.READ, page=True)
        """As ``read``, but a browser that nobody knows is sent to the login page."""
        self._log = structlog.get_logger("http")

    async def probe(self, request: Request) -> None:
        """Let programs of this machine in (health checks, Prometheus), and others with the scope ``read``."""
        if was_forwarded(request) or not is_loopback(sent_by(request)):
            await self.read(request)

    async def form(self, request: Request) -> None:
        """Take forms of our own pages only (cross-site request forgery)."""
        if not is_own_page(request.headers.get("origin", ""), request.headers.get("host", "")):
            raise HTTPException(403, _NOT_FROM_HERE)

    def is_https(self, request: Request) -> bool:
        """Say whether the browser came by HTTPS: to us, or to the reverse proxy."""
        forwarded = request.headers.get("x-forwarded-proto", "") if self._is_proxy(request) else ""
        return (forwarded or request.url.scheme) == "https"

    def caller(self, request: Request) -> Caller | None:
        """Give who is asking: by token, by the session of a browser, or as the reverse proxy says.

        Raises:
            HTTPException: 403, somebody else than the proxy says who is asking.
        """
        user = self._user(request)
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.door.by_token(given.strip())
        if user:
            return self.door.by_proxy(user, request.headers.get(self.door.proxy.groups_header, ""))
        session = request.cookies.get(COOKIE, "")
        return self.door.by_session(session) if session else None

    def _is_proxy(self, request: Request) -> bool:
        return self.door.proxy.names(sent_by(request))

    def _user(self, request: Request) -> str:
        """Give the user's name out of the proxy's header; empty where there is none."""
        names = request.headers.getlist(self.door.proxy.user_header) if self.door.proxy.addresses else []
        if not names:
            return ""
        if not self._is_proxy(request) or len(names) > 1:
            self._log.warning("user_header_refused", peer_address=sent_by(request))
            raise HTTPException(403, _SPOOFED)
        return names[0].strip()[:LONGEST_NAME]


class Needs:
    """Asks for one scope."""

    def __init__(self, guard: Guard, scope: Scope, *, page: bool = False) -> None:
        self._guard = guard
        self.scope = scope
        self.page = page

    async def __call__(self, request: Request) -> Caller:
        """Give who is asking.

        Raises:
            HTTPException: 401 (of a page: 303 to the login), nobody we know; 403, they may not, or a browser sent a
                form that is not of our own pages.
        """
        caller = await run_in_threadpool(self._guard.caller, request)
        if caller is None and self.page:
            raise HTTPException(303, headers={"Location": "/login"})
        if caller is None:
            raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"})
        if request.method not in SAFE_METHODS and caller.form_token:
            await self._check_form(request, caller)
        if not caller.may(self.scope):
            raise HTTPException(
                403,
                (f"This needs the scope {self.scope}.", f"Ask for a token with it, or a group; you are {caller.name}."),
            )
        return caller

    async def _check_form(self, request: Request, caller: Caller) -> None:
        await self._guard.form(request)
        given = request.headers.get(FORM_TOKEN_HEADER) or (await read_form(request)).get("form_token", "")
        if not caller.owns_form(given):
            raise HTTPException(403, _NOT_FROM_HERE)


async def add_headers(request: Request, proceed: Callable[[Request], Awaitable[Response]]) -> Response:
    """Put the security headers on every answer."""
    response = await proceed(request)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response
