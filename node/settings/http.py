"""The tables [http] and [http.proxy]: console, API, and the proxy that logs users in."""

from ipaddress import ip_address, ip_network
from typing import Annotated

from pydantic import StringConstraints

from node.settings.section import LocalPath, Network, Port, Section

HostName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$")]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")]


class ProxySettings(Section):
    """A reverse proxy that logs users in (OpenID Connect); it must overwrite these headers in every request."""

    addresses: tuple[Network, ...] = ()
    """Addresses or networks of the proxy; only from there the headers count. Empty: there is none."""
    secret_file: LocalPath | None = None
    """File with a secret that the proxy sends as X-Heatproof-Proxy: without it, nobody else at its addresses is it."""
    user_header: HeaderName = "X-Forwarded-User"
    """Header with the user's name."""
    groups_header: HeaderName = "X-Forwarded-Groups"
    """Header with the user's groups, separated by commas."""
    read_groups: tuple[str, ...] = ()
    """Groups that may see studies and results."""
    operate_groups: tuple[str, ...] = ()
    """Groups that may change state, such as resending results."""
    audit_groups: tuple[str, ...] = ()
    """Groups that may read the whole ledger, and stop and arm routes."""

    def names(self, address: str) -> bool:
        """Say whether a connection from this address is the proxy's."""
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(parsed in ip_network(network) for network in self.addresses)


class HttpSettings(Section):
    """Console and API."""

    host: str = "127.0.0.1"
    """Address to listen on: loopback, unless a reverse proxy with authentication is in front."""
    port: Port = 8080
    """HTTP port of console, API and metrics."""
    hosts: tuple[HostName, ...] = ()
    """Names by which browsers call the console, such as that of the proxy; addresses and localhost always work."""
    token_file: LocalPath
    """File with the first access token; created with a random token, mode 0600, where it does not exist."""
    proxy: ProxySettings = ProxySettings()

    @property
    def names(self) -> frozenset[str]:
        """The names that a Host header may have, in small letters."""
        return frozenset(name.lower() for name in (*self.hosts, self.host, "localhost"))
