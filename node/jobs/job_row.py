"""One row of the table ``jobs``, as its steps and what comes after them need it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row


@dataclass(frozen=True)
class Job:
    """One row of ``jobs``, as far as the steps need it."""

    id: str
    study_instance_uid: str
    bundle: str
    reason: str | None
    method: str | None
    planes_explained: int
    destinations: tuple[str, ...]
    created_at: datetime
    verdicts: tuple[str, ...]
    """One for each map, once there is a summary."""
    generation: int
    """Which decision about the study, from 1: the later one supersedes."""
    route: str
    model: str
    """Digest of the bundle that the study was routed to; empty where there is none."""
    withheld: str
    """Why the audit withholds the maps of its route; empty where it does not."""
    missing: str
    """What the study has not, although it was expected; empty where nothing is."""
    stack_contains: tuple[str, ...] = ()
    """Words of the rule, one of which must stand in what tells a stack from the others of its series; empty: all."""
    said: tuple[str, ...] = ()
    """What is said of each stack ("found", "nothing found", "no statement"), once there is a summary."""
    content: str = ""
    """Digest of the instances that were decided about; empty where an earlier release decided."""


def job_of(row: Row[Any]) -> Job:
    """Read a row."""
    return Job(
        id=row.id,
        study_instance_uid=row.study_instance_uid,
        bundle=row.bundle,
        reason=row.reason,
        method=row.options["method"],
        planes_explained=row.options["planes_explained"],
        destinations=tuple(row.options["destinations"]),
        created_at=row.created_at,
        verdicts=tuple(item["verdict"] for item in (row.summary or {}).get("explanations", [])),
        generation=row.generation,
        route=row.route,
        model=row.options.get("model", ""),
        withheld=row.options.get("withheld", ""),
        missing=row.missing or "",
        stack_contains=tuple(row.options.get("stack_contains", ())),
        said=tuple(stack["said"] for stack in (row.summary or {}).get("stacks", [])),
        content=row.options.get("content", ""),
    )
