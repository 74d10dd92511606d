"""Users that a reverse proxy has logged in (OpenID Connect): it names them in headers, and from it alone they count."""

from ipaddress import ip_address, ip_network
from typing import Annotated

from pydantic import AfterValidator, StringConstraints
from starlette.requests import Request

from node.settings.section import Section
from node.web.access.caller import Scope

FORWARDING_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip")
"""What any proxy adds: a request that has one did not begin where its connection comes from."""
LONGEST_NAME = 128


def _check_network(text: str) -> str:
    try:
        ip_network(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no address or network, such as 127.0.0.1 or 10.1.2.0/24") from error
    return text


Network = Annotated[str, AfterValidator(_check_network)]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")]


class ProxySettings(Section):
    """A reverse proxy that logs users in (OpenID Connect); it must replace these headers whatever the browser sent."""

    addresses: tuple[Network, ...] = ()
    """Addresses or networks of the proxy; only from there the headers count. Empty: there is none."""
    user_header: HeaderName = "X-Forwarded-User"
    """Header with the user's name."""
    groups_header: HeaderName = "X-Forwarded-Groups"
    """Header with the user's groups, separated by commas."""
    read_groups: tuple[str, ...] = ()
    """Groups that may see studies and results."""
    operate_groups: tuple[str, ...] = ()
    """Groups that may change something, such as send results again."""
    audit_groups: tuple[str, ...] = ()
    """Groups that may read the whole ledger, and stop and arm routes."""

    def names(self, address: str) -> bool:
        """Say whether a connection from this address is the proxy's."""
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in ip_network(network) for network in self.addresses)

    def scopes_of(self, groups: str) -> frozenset[Scope]:
        """Give what the groups in a header may do together."""
        held = {group.strip() for group in groups.split(",")}
        chosen = {Scope.READ: self.read_groups, Scope.OPERATE: self.operate_groups, Scope.AUDIT: self.audit_groups}
        return frozenset(scope for scope, names in chosen.items() if held & set(names))


def sent_by(request: Request) -> str:
    """Give the address at the other end of the connection, whatever headers say."""
    return request.client.host if request.client else ""


def was_forwarded(request: Request) -> bool:
    """Say whether a proxy handed the request on."""
    return any(name in request.headers for name in FORWARDING_HEADERS)
