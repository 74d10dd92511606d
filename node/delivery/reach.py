"""The first steps of checking a peer: address, TCP connection, TLS; a failed step names its cure."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from node.associations.tls import client_context, fingerprint
from node.settings.destination import Destination

CONNECT_SECONDS = 5.0
WORKS, FAILS, NOTE = "works", "fails", "note"


@dataclass(frozen=True)
class Step:
    """The outcome of one step."""

    name: str
    outcome: str
    """works, fails, or note (for information)."""
    said: str
    cure: str = ""


def reach(host: str, port: int) -> Iterator[Step]:
    """Resolve a host and open a TCP connection to one of its ports."""
    addresses = addresses_of(host, port)
    if not addresses:
        yield Step("name", FAILS, f"{host} has no address.", "Check the host, and the name server of this machine.")
        return
    if addresses != [host]:
        yield Step("name", WORKS, f"{host} is {', '.join(addresses)}.")
    try:
        socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
    except ConnectionRefusedError:
        cure = "Check the port, and that the peer runs and listens on this address."
        yield Step("connection", FAILS, f"Nothing listens on port {port} of {host}.", cure)
    except TimeoutError:
        cure = "A firewall may drop the packets: have TCP to this port allowed, or check the address."
        yield Step("connection", FAILS, f"{host}:{port} does not answer within {CONNECT_SECONDS:g} s.", cure)
    except OSError as error:
        why = error.strerror or type(error).__name__
        yield Step(
            "connection", FAILS, f"{host}:{port} cannot be reached: {why}.", "Check the network and the address."
        )
    else:
        yield Step("connection", WORKS, f"{host} accepts connections on port {port}.")


def addresses_of(host: str, port: int) -> list[str]:
    """Resolve a host; empty where it has no address."""
    with suppress(OSError, UnicodeError):
        return sorted({str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)})
    return []


def handshake(peer: Destination) -> Step:
    """Try a TLS handshake with a peer that is configured for it."""
    if peer.transport is None:
        return Step("TLS", FAILS, "The peer wants TLS, and this node has no certificate.", "Add a table [tls].")
    pin = peer.certificate_sha256
    try:
        context = client_context(peer.transport, pinned=bool(pin))
        with (
            socket.create_connection((peer.host, peer.port), timeout=CONNECT_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=peer.host) as connection,
        ):
            shown = fingerprint(connection.getpeercert(binary_form=True) or b"")
            version = connection.version()
    except ssl.SSLCertVerificationError as error:
        cure = "Check tls.ca_file, the name in the peer's certificate, and its dates."
        return Step("TLS", FAILS, f"The peer's certificate is not trusted: {error.verify_message}.", cure)
    except OSError as error:
        why = getattr(error, "reason", None) or error.strerror or type(error).__name__
        cure = "Check that this port of the peer speaks TLS 1.2 or 1.3, and that it trusts our certificate."
        return Step("TLS", FAILS, f"The TLS handshake failed: {why}.", cure)
    if pin and shown != pin.lower().replace(":", ""):
        cure = "If the peer has a new certificate, enter its SHA-256; if not, the connection may be intercepted."
        return Step("TLS", FAILS, f"The peer's certificate is not the expected one: {shown}.", cure)
    return Step("TLS", WORKS, f"{version}; the peer's certificate is trusted.")
