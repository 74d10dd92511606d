"""The node's own folder: open to its user alone, held by one process, and the secret of the site in it."""

import fcntl
import os
import secrets
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from inference.errors import Misconfigured, UnknownName

_OF_OWNER, _OF_GROUP = 0o700, 0o2770


def enclose(folder: Path, group: str | None = None) -> None:
    """Make a folder that nobody but the node's user may enter, or take from others what they may do in it.

    Args:
        folder: of the node.
        group: who may enter it beside, as where nodes with users of their own share it.

    Raises:
        Misconfigured: others may enter it, and it is not this user's to change; or there is no such group.
    """
    mode = _OF_GROUP if group else _OF_OWNER
    os.umask(0o777 & ~mode)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    is_open = folder.stat().st_mode & 0o777 & ~mode
    try:
        if group:
            shutil.chown(folder, group=group)
        if stat.S_IMODE(folder.stat().st_mode) != mode:
            folder.chmod(mode)
    except (OSError, LookupError) as error:
        if is_open or isinstance(error, LookupError):
            whom = f"the group {group}" if group else "its user"
            raise Misconfigured(
                f"{folder} cannot be closed to others than {whom}.",
                cure=f"chown it to the node's user, chmod {mode:o}.",
            ) from error


def enclose_file(path: Path) -> None:
    """Make a file for its owner alone, or for the group too where its folder has one; take from others what they may.

    Where the folder is not there nothing is made. A file that is there is not opened: closing it would drop the locks
    of POSIX that SQLite holds on it for another connection of this process.
    """
    if not path.parent.is_dir():
        return
    permitted = 0o660 if path.parent.stat().st_mode & stat.S_ISGID else 0o600
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, permitted))
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & ~permitted:
        path.chmod(mode & permitted)


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


def running(home: Path) -> int:
    """Return the process id of the node that holds a home folder.

    Raises:
        UnknownName: there is none.
    """
    path = home / "lock"
    nobody = UnknownName(f"No node runs on {home}.", cure="Start it: it reads its rules at start.")
    try:
        file = path.open("r+b")
    except PermissionError as error:
        raise UnknownName(
            f"Whether a node runs on {home} cannot be told by this user.", cure="Run it as the node's user, or as root."
        ) from error
    except OSError as error:
        raise nobody from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return int(file.read())
    raise nobody


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


@contextmanager
def removing(files: Path, *, waits: bool) -> Iterator[bool]:
    """Hold what may remove files below a folder, or copy them: retention, forgetting and backup take turns.

    Args:
        files: the folder of inbox and outbox.
        waits: whether to wait while another does so.

    Yields:
        whether it is held; always where it waits.
    """
    descriptor = os.open(files / "removing.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
