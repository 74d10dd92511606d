"""What an analysed study came to, and the same bytes under other UIDs: thousands of studies for the work of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select

from node.receiving.inspection import Arrival
from node.store import jobs, results
from reports.audit.observations import observations
from reports.objects.results import ResultObject

MOST_RESULT_BYTES = 1 << 14
"""Of each result of a copy: files are counted, not looked at."""


@dataclass(frozen=True)
class Template:
    """What a real study came to, to be written again under other UIDs."""

    study: str
    """Its Study Instance UID, as that of its series ``series``."""
    series: str
    images: tuple[Arrival, ...]
    results: tuple[ResultObject, ...]
    contents: tuple[bytes, ...]
    """Of their files."""
    summary: dict[str, Any]
    observed: dict[str, Any]


def template_of(
    engine: Engine, outbox: Path, job_id: str, uids: tuple[str, str], images: Sequence[Arrival]
) -> Template:
    """Return what a study came to that was analysed.

    Args:
        engine: of the store.
        outbox: where its results lie.
        job_id: of its job.
        uids: its Study Instance UID, and that of its series.
        images: that a copy of it has.
    """
    with engine.connect() as connection:
        rows = connection.execute(select(results).where(results.c.job_id == job_id)).all()
        summary = connection.execute(select(jobs.c.summary).where(jobs.c.id == job_id)).scalar_one()
        seen = connection.execute(select(observations).where(observations.c.job_id == job_id)).first()
    assert rows
    assert seen is not None
    made = tuple(
        ResultObject(
            role=row.role,
            sop_class_uid=row.sop_class_uid,
            sop_instance_uid=row.sop_instance_uid,
            series_instance_uid=row.series_instance_uid,
            path=outbox / row.path,
            preview_path=None,
            sha256=row.sha256,
        )
        for row in rows
    )
    contents = tuple(item.path.read_bytes()[:MOST_RESULT_BYTES] for item in made)
    return Template(*uids, tuple(images), made, contents, summary, dict(seen._mapping))


def renewed(uid: str, number: int, index: int) -> str:
    """Return another UID of the same length."""
    digits = str(int.from_bytes(sha256(f"{number} {index}".encode()).digest()))
    return f"2.25.1{digits}"[: len(uid)]


def exchanged(content: bytes, uids: Mapping[str, str]) -> bytes:
    """Put UIDs in the place of others of the same length."""
    for old, new in uids.items():
        content = content.replace(old.encode(), new.encode())
    return content
