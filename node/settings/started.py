"""Which settings a running node was started with: a digest of each table, in a file of its home."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from inference.errors import Unparsable
from inference.parsing import parse_json
from node.settings.settings import Settings

RELOADED = frozenset({"rules", "unrouted"})
"""The tables a reload replaces; a change in any other needs a restart."""
_FILE = "started.json"


def tables_of(settings: Settings) -> dict[str, str]:
    """Return the SHA-256 of each table that is read at the start only, by its name."""
    tables = settings.model_dump(mode="json", exclude=set(RELOADED))
    return {name: hashlib.sha256(json.dumps(table).encode()).hexdigest() for name, table in tables.items()}


def record_started(settings: Settings) -> None:
    """Write down what this node is started with."""
    path = settings.node.home / _FILE
    path.write_text(json.dumps(tables_of(settings)), encoding="utf-8")
    path.chmod(0o600)


def changed_since(home: Path, tables: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the tables that differ from those the node of this home was started with."""
    try:
        started = parse_json((home / _FILE).read_bytes())
    except (OSError, Unparsable):
        return ()
    return tuple(sorted(name for name, digest in tables.items() if started.get(name, digest) != digest))
