"""The last refused instances: who sent what was not kept, why, and the cure; read from the quarantine's records."""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select

from inference.errors import Unparsable
from inference.parsing import parse_json
from node.associations.request import printable
from node.delivery.reach import NOTE, Step, addresses_of
from node.settings.destination import Destination
from reports.audit.ledger import Event, entries

MOST_LISTED = 5
"""Senders and reasons that the doctor lists."""
MOST_RECORDS = 500
"""The newest records of the quarantine that are read."""


@dataclass(frozen=True)
class RefusedInstances:
    """Instances of one sender that were refused for one reason."""

    at: datetime
    """The last time."""
    times: int
    """How many of them are among the records that were read."""
    peer: str
    """AE title and address."""
    calling_ae_title: str
    peer_address: str
    problem: str
    cure: str
    quarantine: str
    """Where the last of them lies in the quarantine."""


def count_refused(engine: Engine) -> int:
    """Return how many instances the ledger says were refused or set aside; repetitions count after an hour."""
    query = select(entries.c.details).where(entries.c.event.in_((Event.REFUSED, Event.QUARANTINED)))
    with engine.connect() as connection:
        return sum(int(json.loads(details).get("objects", 1)) for details in connection.execute(query).scalars())


def latest_refused(quarantine: Path) -> tuple[RefusedInstances, ...]:
    """Return the last refused instances by sender and reason, the newest first.

    Args:
        quarantine: the folder that they are set aside in; it need not be there.
    """
    known: dict[tuple[str, str, str], RefusedInstances] = {}
    for refused in _records(quarantine):
        key = (refused.calling_ae_title, refused.peer_address, refused.problem)
        known[key] = replace(known[key], times=known[key].times + 1) if key in known else refused
    return tuple(known.values())


def examine_refused(count: int, latest: Iterable[RefusedInstances], peer: Destination | None = None) -> Iterator[Step]:
    """List the last refused instances, of one peer or of all.

    Args:
        count: of all that were refused since the ledger began.
        latest: the last by sender and reason, the newest first.
        peer: whose; None: of everybody.
    """
    addresses = set(addresses_of(peer.host, peer.port)) if peer and peer.host else set()
    of_peer = (
        entry
        for entry in latest
        if peer is None or entry.peer_address in addresses or entry.calling_ae_title == peer.ae_title != ""
    )
    for entry in islice(of_peer, MOST_LISTED):
        times = f"{entry.times} instances, the last" if entry.times > 1 else "one"
        said = f"This node refused {times} at {entry.at:%Y-%m-%d %H:%M} UTC, of {entry.peer}: {entry.problem}"
        yield Step("refused instances", NOTE, f"{said} ({count} counted in the ledger.)", entry.cure)


def _records(quarantine: Path) -> Iterator[RefusedInstances]:
    """Read the newest records, the newest first; the quarantine may remove some at the same time."""
    times: list[tuple[int, Path]] = []
    with suppress(OSError):
        for path in quarantine.glob("*.json"):
            with suppress(OSError):
                times.append((path.stat().st_mtime_ns, path))
    for _, path in sorted(times, reverse=True)[:MOST_RECORDS]:
        with suppress(OSError, ValueError, KeyError, TypeError, Unparsable):
            record = parse_json(path.read_bytes())
            if record.get("cure") != "":  # else it was not refused: another took its place
                yield _refused(path.stem, record)


def _refused(name: str, record: dict[str, Any]) -> RefusedInstances:
    title, address = printable(str(record["calling_ae_title"]), 64), printable(str(record["peer_address"]), 64)
    return RefusedInstances(
        at=datetime.fromisoformat(record["received_at"]),
        times=1,
        peer=f"{title} at {address}" if title else address,
        calling_ae_title=title,
        peer_address=address,
        problem=str(record.get("problem", record["reason"])),
        cure=str(record.get("cure", "")),
        quarantine=name,
    )
