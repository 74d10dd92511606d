"""Users that a reverse proxy has logged in (OpenID Connect): it names them in headers, and from it alone they count."""

from starlette.requests import Request

from node.settings.http import ProxySettings
from node.web.access.caller import Scope

FORWARDING_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip")
"""What any proxy adds: a request that has one did not begin where its connection comes from."""
LONGEST_NAME = 128


def scopes_of_groups(proxy: ProxySettings, groups: str) -> frozenset[Scope]:
    """Give what the groups in a header may do together."""
    held = {group.strip() for group in groups.split(",")}
    chosen = {Scope.READ: proxy.read_groups, Scope.OPERATE: proxy.operate_groups, Scope.AUDIT: proxy.audit_groups}
    return frozenset(scope for scope, names in chosen.items() if held & set(names))


def sent_by(request: Request) -> str:
    """Give the address at the other end of the connection, whatever headers say."""
    return request.client.host if request.client else ""


def was_forwarded(request: Request) -> bool:
    """Say whether a proxy handed the request on."""
    return any(name in request.headers for name in FORWARDING_HEADERS)
