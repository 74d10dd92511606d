"""Retention: old rows of the ledger are exported to a file and deleted; an anchor keeps the hash chain verifiable.

The anchor holds number and digest of the last row deleted; ``Ledger.verify`` begins there. The ledger itself says
what was deleted, when, by whom, and the digest of the file.
"""

import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, delete, func, insert, select, text, update

from inference.errors import Refused
from reports.audit.ledger import Event, Ledger, anchor, entries

_OPEN = {
    "sqlite": "DROP TRIGGER IF EXISTS ledger_no_delete",
    "postgresql": "ALTER TABLE ledger DISABLE TRIGGER ledger_no_change",
}
_SHUT = {
    "sqlite": "CREATE TRIGGER ledger_no_delete BEFORE DELETE ON ledger "
    "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END",
    "postgresql": "ALTER TABLE ledger ENABLE TRIGGER ledger_no_change",
}
"""The triggers of the schema (revision 0001), lifted within the one transaction that deletes."""


def let_go(engine: Engine, ledger: Ledger, before: datetime, path: Path, *, by_whom: str) -> int:
    """Export the rows older than a time to a file of JSON lines, synced, and delete them.

    Returns:
        how many rows were deleted.

    Raises:
        Refused: the chain is broken, the file is there already, or no user is named.
    """
    if not by_whom.strip():
        raise Refused("Deleting rows of the ledger needs the name of a user.")
    broken = ledger.verify()
    if broken is not None:
        raise Refused(
            f"The hash chain of the ledger is broken at row {broken}: no row is deleted.",
            cure="Keep a copy of the store, and find out why before deleting rows.",
        )
    with engine.begin() as connection:
        old = entries.c.at < before.astimezone(UTC).isoformat(timespec="microseconds")
        last = connection.execute(select(func.max(entries.c.seq)).where(old)).scalar()
        if last is None:
            return 0
        digest, rows = _write(connection, last, path)
        connection.execute(text(_OPEN[connection.dialect.name]))
        kept = connection.execute(select(entries.c.digest).where(entries.c.seq == last)).scalar_one()
        connection.execute(delete(entries).where(entries.c.seq <= last))
        if not connection.execute(update(anchor).values(seq=last, digest=kept)).rowcount:
            connection.execute(insert(anchor).values(id=1, seq=last, digest=kept))
        connection.execute(text(_SHUT[connection.dialect.name]))
        ledger.append(
            Event.LET_GO,
            details={"objects": rows, "before": before.isoformat(), "content": digest, "by_whom": by_whom},
            connection=connection,
        )
    return rows


def _write(connection: Connection, last: int, path: Path) -> tuple[str, int]:
    digest, rows = hashlib.sha256(), 0
    try:
        file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    except FileExistsError as error:
        raise Refused(f"There is a file {path.name} already.", cure="Name another: nothing is overwritten.") from error
    with file:
        for row in connection.execute(select(entries).where(entries.c.seq <= last).order_by(entries.c.seq)):
            line = json.dumps(dict(row._mapping), sort_keys=True).encode() + b"\n"
            digest.update(line)
            file.write(line)
            rows += 1
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest(), rows
