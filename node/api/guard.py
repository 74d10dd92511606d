"""What every request passes: the token at the door, and headers that keep a page to itself."""

from collections.abc import Awaitable, Callable

from fastapi import HTTPException, Request, Response

from node.security import COOKIE, AccessToken, is_loopback, is_own_page

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


class Guard:
    """The dependencies that ask for the token."""

    def __init__(self, token: AccessToken) -> None:
        self._token = token

    def api(self, request: Request) -> None:
        """Ask for the token as ``Authorization: Bearer`` or for a browser's session."""
        if not self.knows(request):
            raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"})

    def page(self, request: Request) -> None:
        """Ask for a session; send a browser without one to the login page."""
        if not self.knows(request):
            raise HTTPException(303, headers={"Location": "/login"})

    def probe(self, request: Request) -> None:
        """Let programs of this machine in (health checks, Prometheus), and others with the token."""
        if request.client is None or not is_loopback(request.client.host):
            self.api(request)

    def form(self, request: Request) -> None:
        """Take forms of our own pages only (cross-site request forgery)."""
        if not is_own_page(request.headers.get("origin", ""), request.headers.get("host", "")):
            raise HTTPException(403)

    def knows(self, request: Request) -> bool:
        """Say whether a request carries the token or a session made from it."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._token.matches(given.strip()):
            return True
        return self._token.opens(request.cookies.get(COOKIE, ""))


async def add_headers(request: Request, proceed: Callable[[Request], Awaitable[Response]]) -> Response:
    """Put the security headers on every answer."""
    response = await proceed(request)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response
