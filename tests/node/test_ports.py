"""Ports that are reserved: no connection and no other process gets them before whoever they are for."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from inference.errors import Unavailable
from node.demo import ports
from node.demo.ports import reserve_port

CODE = "from node.demo.ports import reserve_port; print(reserve_port())"


def test_a_reserved_port_can_be_listened_on_and_is_given_to_nobody_else() -> None:
    reserved = [reserve_port() for _ in range(3)]
    elsewhere = int(subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stdout)
    assert len({*reserved, elsewhere}) == 4
    with socket.create_server(("127.0.0.1", reserved[0])):
        assert reserve_port() not in reserved


def test_a_reserved_port_is_none_that_the_system_gives_to_connections() -> None:
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert not first <= reserve_port() <= last


def test_a_port_that_somebody_listens_on_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(ports, "_candidates", lambda: iter([taken.getsockname()[1]]))
        with pytest.raises(Unavailable, match="No TCP port"):
            reserve_port()
