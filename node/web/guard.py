"""What every request passes: authentication, the scope a route asks for, form tokens, and security headers."""

from collections.abc import Awaitable, Callable
from typing import NoReturn
from urllib.parse import parse_qs

import structlog
from fastapi import HTTPException, Request, Response
from starlette.concurrency import run_in_threadpool

from node.settings.section import is_loopback
from node.web.access.caller import Principal, Scope
from node.web.access.proxy import LONGEST_NAME, SECRET_HEADER, sent_by, was_forwarded
from node.web.access.security import COOKIE, Authenticator, is_own_page

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
LONGEST_FORM_BYTES = 64 * 1024
MOST_FORM_FIELDS = 100
_FORM_TYPE = "application/x-www-form-urlencoded"
_FOREIGN_FORM = ("This form did not come from a page of this node.", "Open the console and try again there.")
_SPOOFED = (
    "Only the reverse proxy may say who a user is.",
    "Leave its headers out, or name it in http.proxy.addresses.",
)


class Guard:
    """The dependencies that routes name, as in ``Depends(guard.operate)``; each gives the :class:`Principal`."""

    def __init__(self, authenticator: Authenticator) -> None:
        self.authenticator = authenticator
        self.read = RequiredScope(self, Scope.READ)
        self.operate = RequiredScope(self, Scope.OPERATE)
        self.audit = RequiredScope(self, Scope.AUDIT)
        self.page = RequiredScope(self, Scope.READ, page=True)
        """As ``read``, but a browser without a session is sent to the login page."""
        self._log = structlog.get_logger("http")

    async def probe(self, request: Request) -> None:
        """Let programs of this machine in (health checks, Prometheus), and others with the scope ``read``."""
        if was_forwarded(request) or not is_loopback(sent_by(request)):
            await self.read(request)

    async def form(self, request: Request) -> None:
        """Accept forms of our own pages only (cross-site request forgery).

        Raises:
            HTTPException: 403, the form was sent from a page of another site.
        """
        if not is_own_page(request.headers.get("origin", ""), request.headers.get("host", "")):
            raise HTTPException(403, _FOREIGN_FORM)

    def is_https(self, request: Request) -> bool:
        """Say whether the browser came by HTTPS: to us, or to the reverse proxy."""
        forwarded = request.headers.get("x-forwarded-proto", "") if self._is_proxy(request) else ""
        return (forwarded or request.url.scheme) == "https"

    def caller(self, request: Request) -> Principal | None:
        """Authenticate a request by token, by the session cookie of a browser, or by the reverse proxy's headers.

        Raises:
            HTTPException: 403, the user header comes from another address than the proxy's.
        """
        user = self._user(request)
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.authenticator.by_token(given.strip())
        if user:
            groups = request.headers.getlist(self.authenticator.proxy.groups_header)
            if len(groups) > 1:  # which of them the proxy wrote cannot be told
                self._refuse_headers(request)
            return self.authenticator.by_proxy(user, groups[0] if groups else "")
        session = request.cookies.get(COOKIE, "")
        return self.authenticator.by_session(session) if session else None

    def _is_proxy(self, request: Request) -> bool:
        given = request.headers.getlist(SECRET_HEADER)
        named = self.authenticator.proxy.names(sent_by(request))
        return named and self.authenticator.is_proxy_secret(given[0] if len(given) == 1 else "")

    def _user(self, request: Request) -> str:
        """Read the user's name from the proxy's header; empty where there is none."""
        proxy = self.authenticator.proxy
        names = request.headers.getlist(proxy.user_header) if proxy.addresses else []
        if not names:
            return ""
        if not self._is_proxy(request) or len(names) > 1:
            self._refuse_headers(request)
        return names[0].strip()[:LONGEST_NAME]

    def _refuse_headers(self, request: Request) -> NoReturn:
        self._log.warning("user_header_refused", peer_address=sent_by(request))
        raise HTTPException(403, _SPOOFED)


class RequiredScope:
    """A dependency that requires one scope."""

    def __init__(self, guard: Guard, scope: Scope, *, page: bool = False) -> None:
        self._guard = guard
        self.scope = scope
        self.page = page

    async def __call__(self, request: Request) -> Principal:
        """Authenticate and authorise a request.

        Raises:
            HTTPException: 401 (of a page: 303 to the login), nobody we know; 403, the scope is missing, or a browser
                sent a form that is not of our own pages.
        """
        caller = await run_in_threadpool(self._guard.caller, request)
        if caller is None and self.page:
            raise HTTPException(303, headers={"Location": "/login"})
        if caller is None:
            raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"})
        request.state.caller = caller  # an error page keeps its navigation
        if request.method not in SAFE_METHODS and caller.form_token:
            await self._check_form(request, caller)
        if not caller.may(self.scope):
            raise HTTPException(
                403,
                (f"This needs the scope {self.scope}.", f"Ask for a token with it, or a group; you are {caller.name}."),
            )
        return caller

    async def _check_form(self, request: Request, caller: Principal) -> None:
        await self._guard.form(request)
        given = request.headers.get(FORM_TOKEN_HEADER) or (await read_form(request)).get("form_token", "")
        if not caller.owns_form(given):
            raise HTTPException(403, _FOREIGN_FORM)


async def read_form(request: Request) -> dict[str, str]:
    """Read the fields of a URL-encoded form, the first of each name; none where the body is something else.

    Raises:
        HTTPException: 413, it is longer than ``LONGEST_FORM_BYTES``, or has more than ``MOST_FORM_FIELDS``.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM_TYPE:
        return {}
    body = await request.body()  # bounded by node/web/limits.py, and cached for the route
    if len(body) > LONGEST_FORM_BYTES:
        raise HTTPException(413)
    try:
        fields = parse_qs(body.decode("utf-8", errors="replace"), max_num_fields=MOST_FORM_FIELDS)
    except ValueError as error:
        raise HTTPException(413) from error
    return {name: values[0] for name, values in fields.items()}


async def add_headers(request: Request, proceed: Callable[[Request], Awaitable[Response]]) -> Response:
    """Put the security headers on every answer."""
    response = await proceed(request)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response
