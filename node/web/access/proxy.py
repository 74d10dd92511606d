"""Users that a reverse proxy has logged in (OpenID Connect): it names them in headers."""

from starlette.requests import Request

from node.settings.http import ProxySettings
from node.web.access.caller import Scope

FORWARDING_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip")
"""Headers that any proxy adds: a request with one was not sent from where its connection comes from."""
LONGEST_NAME = 128
SECRET_HEADER = "x-heatproof-proxy"  # noqa: S105 - the name of a header


def scopes_of_groups(proxy: ProxySettings, groups: str) -> frozenset[Scope]:
    """Collect the scopes of all groups in a header."""
    held = {group.strip() for group in groups.split(",")}
    chosen = {Scope.READ: proxy.read_groups, Scope.OPERATE: proxy.operate_groups, Scope.AUDIT: proxy.audit_groups}
    return frozenset(scope for scope, names in chosen.items() if held & set(names))


def sent_by(request: Request) -> str:
    """Return the address at the other end of the connection, whatever headers say."""
    return request.client.host if request.client else ""


def was_forwarded(request: Request) -> bool:
    """Say whether a proxy forwarded the request."""
    return any(name in request.headers for name in FORWARDING_HEADERS)
