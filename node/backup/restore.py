"""Restore: a verified backup becomes the home of a node that has none yet; the store comes last."""

import os
from pathlib import Path

from inference.errors import Refused
from node.backup.backup import verify
from node.backup.database import begin_anew, load
from node.backup.manifest import STORE, BackupManifest, copied, measured
from node.home import enclose, lock, site_key
from node.settings.settings import Settings
from node.store import migrate, open_engine, store_url
from reports.audit.ledger import Detail, Event, Ledger


def restore(backup: Path, settings: Settings, *, by_whom: str = "") -> BackupManifest:
    """Restore a backup to the folders and the database of the settings; the node does not run meanwhile.

    The ledger says from which backup. What the workflow store knew is begun again: unfinished analyses and deliveries.

    Raises:
        Refused: the backup is not whole, or something is there that it would overwrite.
        Misconfigured: a node runs on the home folder.
    """
    node = settings.node
    manifest = verify(backup)
    for folder in (node.home, node.files):
        enclose(folder, node.group)
    held = lock(node.home)
    try:
        _restore(backup, manifest, settings, by_whom)
    finally:
        os.close(held)
    return manifest


def _restore(backup: Path, manifest: BackupManifest, settings: Settings, by_whom: str) -> None:
    node = settings.node
    store = node.home / "heatproof.sqlite"
    places = {"home": node.home, "files": node.files}
    targets = {
        path: places[top] / inside
        for path in manifest.files
        for top, _, inside in [path.partition("/")]
        if top in places
    }
    missing = {path: target for path, target in targets.items() if not target.exists()}
    other = [
        target for path, target in targets.items() if path not in missing and measured(target) != manifest.files[path]
    ]
    for target in (*([store] if store.exists() else []), *other):
        raise Refused(f"{target} is there already: nothing is overwritten.", cure="Restore to an empty home.")
    for path, target in missing.items():
        copied(backup / path, target)
    part = node.home / "restored.sqlite"
    part.unlink(missing_ok=True)
    copied(backup / STORE, part)
    if node.database_url:
        engine = open_engine(store_url(node))
        load(part, engine)
        part.unlink()
    else:
        part.rename(store)
        engine = open_engine(store_url(node))
        migrate(engine)
    details: dict[str, Detail] = {"content": manifest.digest, "since": manifest.made_at, "objects": len(targets)}
    if by_whom:
        details["by_whom"] = by_whom
    with engine.begin() as connection:
        begin_anew(connection)
        Ledger(engine, site_key(node.files)).append(Event.RESTORED, details=details, connection=connection)
    engine.dispose()
