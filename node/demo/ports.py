"""Reservation of TCP ports of loopback."""

import socket
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from inference.errors import Unavailable

_GIVEN_TO_CONNECTIONS = Path("/proc/sys/net/ipv4/ip_local_port_range")
_DEFAULT_RANGE = (49152, 65535)
"""Dynamic ports (RFC 6335, 6), where the system does not say."""
_held: list[socket.socket] = []


def reserve_port() -> int:
    """Return a TCP port of loopback that nobody else takes while this process lives.

    The system gives it to no connection and to nobody who asks for any port, for it lies outside the range it gives
    from; and another process that calls this is given another one, for the UDP port of the same number is held.

    Raises:
        Unavailable: every such port is taken.
    """
    for port in _candidates():
        mark = socket.socket(type=socket.SOCK_DGRAM)
        try:
            mark.bind(("127.0.0.1", port))
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            mark.close()
            continue
        _held.append(mark)
        return port
    raise Unavailable("No TCP port of loopback is free.", cure=f"Make the range in {_GIVEN_TO_CONNECTIONS} smaller.")


def _candidates() -> Iterator[int]:
    try:
        first, last = map(int, _GIVEN_TO_CONNECTIONS.read_text().split())
    except OSError:
        first, last = _DEFAULT_RANGE
    return chain(range(max(1024, first - 10_000), first), range(last + 1, 1 << 16))
