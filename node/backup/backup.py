"""Backup: the store as it is at one moment, and then every file that it names; the node goes on working.

Files are written before their rows, so all that the copy of the store names are on the disk; retention and forgetting
wait until they are copied. Intermediate files of unfinished analyses and the workflow store are left out: a restored
node begins these analyses and deliveries again.
"""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from sqlalchemy import Engine, create_engine, select

from inference.errors import Refused
from node.backup.database import snapshot
from node.backup.manifest import STORE, BackupManifest, copied, measured
from node.home import removing
from node.settings.settings import Settings
from node.store import instances, results
from reports.audit.ledger import Ledger

_BY_ROWS = {"inbox", "outbox", "jobs"}
"""Folders of which only what the store names is copied, or nothing."""
_NOT_COPIED = ("lock", "removing.lock", "site.key")


def back_up(settings: Settings, engine: Engine, out: Path, settings_file: Path) -> BackupManifest:
    """Write a backup into a new folder, and verify it.

    Args:
        settings: of the node.
        engine: its store.
        out: the folder; it must not hold anything.
        settings_file: kept with the backup.

    Raises:
        Refused: the folder is not empty, a file that the store names is gone, or what was written is not what was read.
    """
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise Refused(f"{out} is not empty.", cure="Give a new folder for each backup.")
    out.chmod(0o700)
    node = settings.node
    with removing(node.files, waits=True):
        made_at = datetime.now(UTC)
        snapshot(engine, out / STORE)
        (out / STORE).chmod(0o600)
        files = {}
        for source, target in _named(out / STORE, node.files):
            files[target] = _copied(source, out / target)
        for source, target in _others(node.home, node.files):
            with suppress(FileNotFoundError):  # the quarantine removes its oldest by itself
                files[target] = copied(source, out / target)
    files["heatproof.toml"] = copied(settings_file, out / "heatproof.toml")
    files[STORE] = measured(out / STORE)
    copy = create_engine(f"sqlite:///{out / STORE}")
    manifest = BackupManifest(made_at.isoformat(), version("heatproof"), str(Ledger(copy, b"").head()), files)
    copy.dispose()
    manifest.write(out)
    return verify(out)


def verify(folder: Path) -> BackupManifest:
    """Read every byte of a backup: each file is as it was copied, the store is whole, and so is every image it names.

    Raises:
        Refused: it is not; the first thing that is wrong is named.
    """
    manifest = BackupManifest.read(folder)
    for path, known in manifest.files.items():
        if not (folder / path).is_file() or measured(folder / path) != known:
            raise Refused(f"{path} of the backup is missing or changed.", cure="Use another backup.")
    copy = create_engine(f"sqlite:///file:{folder / STORE}?mode=ro&immutable=1&uri=true")
    try:
        _verify_store(copy, folder)
    finally:
        copy.dispose()
    return manifest


def _verify_store(copy: Engine, folder: Path) -> None:
    ledger = Ledger(copy, b"")
    with copy.connect() as connection:
        if connection.exec_driver_sql("PRAGMA integrity_check").scalar() != "ok":
            raise Refused("The store of the backup is damaged.", cure="Use another backup.")
        broken = ledger.verify()
        if broken is not None:
            raise Refused(f"The ledger of the backup is broken at row {broken}.", cure="Look at that of the node.")
        for row in connection.execute(select(instances.c.path, instances.c.size_bytes, instances.c.sha256)):
            with suppress(FileNotFoundError):
                content = (folder / "files" / "inbox" / row.path).read_bytes()[-row.size_bytes :]
                if hashlib.sha256(content).hexdigest() == row.sha256:
                    continue
            raise Refused("An image is not as it was received.", cure=f"See {row.path} in the node's inbox.")


def _copied(source: Path, target: Path) -> tuple[int, str]:
    try:
        return copied(source, target)
    except FileNotFoundError as error:
        raise Refused(
            f"{source.name}, which the store names, is not in {source.parent}.",
            cure="Without it there is no whole backup: look for it, or take its study out (`heatproof forget`).",
        ) from error


def _named(store: Path, files: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files that the copy of the store names, each with its place in the backup."""
    copy = create_engine(f"sqlite:///{store}")
    with copy.connect() as connection:
        for path in connection.execute(select(instances.c.path)).scalars():
            yield files / "inbox" / path, f"files/inbox/{path}"
        here = select(results.c.path, results.c.preview_path).where(results.c.removed_at.is_(None))
        for row in connection.execute(here):
            for path in filter(None, row):
                yield files / "outbox" / path, f"files/outbox/{path}"
    copy.dispose()


def _others(home: Path, files: Path) -> Iterator[tuple[Path, str]]:
    """Yield what else lies in the node's folders: key, tokens, golden studies, passports, quarantine."""
    yield files / "site.key", "files/site.key"
    for folder, name in {files: "files", home: "home"}.items():
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder)
            skipped = inside.parts[0] in _BY_ROWS or ".sqlite" in inside.name or inside.name in _NOT_COPIED
            if path.is_file() and not path.is_symlink() and not skipped:
                yield path, f"{name}/{inside}"
