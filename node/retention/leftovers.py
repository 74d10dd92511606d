"""Files that nothing needs any more: of jobs that have ended, and those a crash left after their rows were removed."""

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from shutil import rmtree
from stat import S_ISREG

from sqlalchemy import Engine, select

from node.retention.removal import unlink
from node.settings.settings import Settings
from node.store import jobs, now, results

_AT_ONCE = 500
_DAY_SECONDS = 86_400.0


def clear_job_files(settings: Settings, engine: Engine, *, dry_run: bool = False) -> tuple[Path, ...]:
    """Remove the folders of jobs that ended ``retention.job_files_days`` ago, or are in no row; give which."""
    folder = settings.node.files / "jobs"
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []  # before the rows: those come first
    before = now() - timedelta(days=settings.retention.job_files_days)
    known = _jobs(engine, names)
    ended = {name: known.get(name, before) for name in names}
    due = tuple(folder / name for name, at in ended.items() if at is not None and at <= before)
    for path in () if dry_run else due:
        rmtree(path, ignore_errors=True)
    return due


def clear_quarantine(settings: Settings, *, dry_run: bool = False) -> tuple[Path, ...]:
    """Remove what was refused ``retention.quarantine_days`` ago; give the files."""
    days, folder = settings.retention.quarantine_days, settings.node.home / "quarantine"
    if days is None or not folder.is_dir():
        return ()
    before_seconds = time.time() - days * _DAY_SECONDS
    due = tuple(path for path in sorted(folder.iterdir()) if path.stat().st_mtime < before_seconds)
    for path in () if dry_run else due:
        path.unlink(missing_ok=True)
    return due


def sweep(settings: Settings, engine: Engine) -> int:
    """Remove what a crash left of a removal: files of results that are marked, folders of jobs that are in no row.

    Images without a row are removed by the inbox, before anything arrives (:meth:`node.receiving.inbox.Inbox.sweep`).

    Returns:
        how many files and folders were removed.
    """
    outbox = settings.node.files / "outbox"
    names = [path.name for path in outbox.iterdir() if path.is_dir()] if outbox.is_dir() else []
    with engine.connect() as connection:
        marked = connection.execute(
            select(results.c.path, results.c.preview_path).where(results.c.removed_at.is_not(None))
        )
        paths = [path for row in marked for path in row if path and (outbox / path).is_file()]
    unlink(outbox, paths)
    known = _jobs(engine, names)
    orphans = [outbox / name for name in names if name not in known]
    for path in orphans:
        rmtree(path, ignore_errors=True)
    return len(paths) + len(orphans)


def _jobs(engine: Engine, names: Sequence[str]) -> dict[str, datetime | None]:
    """Return when jobs ended, by their ids; only of those that are in the store."""
    known: dict[str, datetime | None] = {}
    with engine.connect() as connection:
        for begin in range(0, len(names), _AT_ONCE):
            some = select(jobs.c.id, jobs.c.finished_at).where(jobs.c.id.in_(names[begin : begin + _AT_ONCE]))
            known.update({row.id: row.finished_at for row in connection.execute(some)})
    return known


def used_bytes(settings: Settings) -> int:
    """Return what the files in inbox and outbox take."""
    folders = (settings.node.files / name for name in ("inbox", "outbox"))
    return size_bytes(path for folder in folders for path in folder.rglob("*"))


def size_bytes(paths: Iterable[Path]) -> int:
    """Return the size of files together; one that is gone takes nothing."""
    total = 0
    for path in paths:
        with suppress(OSError):
            status = path.stat()
            total += status.st_size if S_ISREG(status.st_mode) else 0
    return total
