"""Retention: how long files and rows are kept, the room they take, and what is due; page and JSON."""

import shutil
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from node.retention.leftovers import used_bytes
from node.retention.retention import Retention
from node.settings.settings import Settings
from node.web.access.caller import Principal
from node.web.guard import Guard
from node.web.pages import Pages
from reports.audit.ledger import Ledger

MOST_LISTED = 100
"""Due removals that are listed; the others are counted."""
_FOR_EVER = "for ever"


@dataclass(frozen=True)
class DueEntry:
    """One study's originals or rows, or one job's results, that go at the next look."""

    kind: str
    study: str
    """Its key in the console."""
    since: datetime
    size_bytes: int
    reason: str


@dataclass(frozen=True)
class Kept:
    """What is kept for how long, and what it takes."""

    periods: dict[str, str]
    """What is kept, and for how long, in words."""
    used_bytes: int
    """Of inbox and outbox."""
    free_bytes: int
    due: tuple[DueEntry, ...]
    """The first of them."""
    due_count: int
    due_bytes: int


class KeepingDesk:
    """Answers what page and API ask."""

    def __init__(self, settings: Settings, retention: Retention, ledger: Ledger) -> None:
        """Bind to the retention of one node, which is only asked."""
        self._settings = settings
        self._retention = retention
        self._ledger = ledger

    def kept(self) -> Kept:
        """Return what is kept, and what is due."""
        cleared = self._retention.due()
        entries = (
            DueEntry(
                item.kind, self._ledger.pseudonym(item.study_instance_uid), item.since, item.size_bytes, item.reason
            )
            for item in cleared.removed[:MOST_LISTED]
        )
        return Kept(
            periods=_periods(self._settings),
            used_bytes=used_bytes(self._settings),
            free_bytes=shutil.disk_usage(self._settings.node.files).free,
            due=tuple(entries),
            due_count=len(cleared.removed),
            due_bytes=cleared.size_bytes,
        )


def keeping_routes(desk: KeepingDesk, pages: Pages, guard: Guard) -> APIRouter:
    """Make ``/retention`` and ``/api/retention``."""
    routes = APIRouter()

    @routes.get("/retention")
    def show(caller: Annotated[Principal, Depends(guard.page)]) -> Response:
        return pages.show("retention.html", caller=caller, here="/retention", kept=desk.kept())

    @routes.get("/api/retention", dependencies=[Depends(guard.read)])
    def kept() -> Kept:
        return desk.kept()

    return routes


def _periods(settings: Settings) -> dict[str, str]:
    wanted = settings.retention
    room = [
        *([f"inbox and outbox take at most {wanted.most_mebibytes:,} MiB"] if wanted.most_mebibytes else []),
        *([f"{wanted.free_mebibytes:,} MiB of the disk stay free"] if wanted.free_mebibytes else []),
    ]
    return {
        "Images of studies": _days(wanted.originals_days),
        "Images of studies that were not analysed, and of priors": _days(
            wanted.unanalysed_days or wanted.originals_days
        ),
        "Files of results": _days(wanted.results_days),
        "Rows of the database": _days(wanted.rows_days),
        "Refused instances": _days(wanted.quarantine_days) if wanted.quarantine_days else "until there are too many",
        "Intermediate files": _days(wanted.job_files_days) if wanted.job_files_days else "until the analysis ends",
        "Room": f"{' and '.join(room)}: the oldest go first" if room else "nothing is removed for want of room",
    }


def _days(days: float | None) -> str:
    return _FOR_EVER if days is None else f"{days:g} {'day' if days == 1 else 'days'}"
