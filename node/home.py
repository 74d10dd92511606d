"""The node's own folder: held by one process, and the secret of the site in it."""

import fcntl
import os
import secrets
import uuid
from contextlib import suppress
from pathlib import Path

from inference.errors import Misconfigured


def lock(home: Path) -> int:
    """Hold the home folder until the process ends; give the open descriptor.

    Raises:
        Misconfigured: another process holds it.
    """
    descriptor = os.open(home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise Misconfigured(f"Another node runs on {home}.", cure="Give each node a node.home of its own.") from error
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())  # whom `heatproof rules reload` tells
    return descriptor


def site_key(folder: Path) -> bytes:
    """Return the secret that identifiers in ledger, log and URLs are hashed with; made on the first start, mode 0600.

    It is whole or absent: a crash leaves no empty key, and of nodes that start at once one makes it for all.
    """
    path = folder / "site.key"
    if not path.exists():
        fresh = folder / f"site.key.{uuid.uuid4().hex}"
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(32))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
    return path.read_bytes()
