"""What the list of studies is sorted and found by, what is analysed again, and versions of the rules.

Finding and verdicts are filled from the summaries here. The keyed hashes need the site's key and the files, so the
running node fills them (``node.studies.numbers``).
"""

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

JOBS_AT_ONCE = 500
_GRAVEST_FIRST = ("WITHHELD", "OUT OF ENVELOPE", "UNCOMMISSIONED", "CAUTION", "TRUSTED")
_JOBS = sa.table(
    "jobs", sa.column("id"), sa.column("summary", sa.JSON), sa.column("finding"), sa.column("verdicts"),
)  # fmt: skip


def upgrade() -> None:
    """Add columns and indexes, and fill what the store itself knows."""
    op.add_column("instances", sa.Column("accession", sa.String(64)))
    op.create_index("ix_instances_accession", "instances", ["accession"])
    op.create_index("ix_instances_patient", "instances", ["patient"])
    op.add_column("studies", sa.Column("asked", sa.Integer, nullable=False, server_default="0"))
    op.add_column("studies", sa.Column("asked_route", sa.Text))
    op.add_column("jobs", sa.Column("finding", sa.String(128)))
    op.add_column("jobs", sa.Column("verdicts", sa.String(128)))
    _fill(op.get_bind())
    op.create_table(
        "rule_versions",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("toml", sa.Text, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("by_whom", sa.String(128), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.add_column("nodes", sa.Column("rules_version", sa.Integer))
    op.create_index("ix_jobs_line", "jobs", ["study_instance_uid", "generation", "state", "finding", "verdicts"])


def _fill(connection: sa.Connection) -> None:
    last = ""
    while True:
        query = sa.select(_JOBS.c.id, _JOBS.c.summary).where(_JOBS.c.id > last).order_by(_JOBS.c.id)
        rows = connection.execute(query.limit(JOBS_AT_ONCE)).all()
        for row in rows:
            summary = json.loads(row.summary) if isinstance(row.summary, str) else row.summary
            if summary and summary.get("bundle"):
                connection.execute(sa.update(_JOBS).where(_JOBS.c.id == row.id).values(_line(summary)))
        if len(rows) < JOBS_AT_ONCE:
            return
        last = rows[-1].id


def _line(summary: Mapping[str, Any]) -> dict[str, str]:
    explanations, ranges = summary.get("explanations", []), summary.get("ranges", [])
    verdicts = {explanation["verdict"] for explanation in explanations}
    shown = ", ".join(verdict for verdict in _GRAVEST_FIRST if verdict in verdicts)
    if not ranges:
        said = [stack.get("said") for stack in summary.get("stacks", [])]
        return {"finding": "no statement" if "no statement" in said else "nothing found", "verdicts": shown}
    highest = max(ranges, key=lambda found: float(found["peak_probability"]))
    same = [
        e["class_probability"] for e in explanations if e["label"] == highest["label"] and e.get("class_probability")
    ]
    share = f"{100 * max(same):.0f} %" if same else f"{highest['peak_probability']:.2f}"
    return {"finding": f"{highest['label'][:96]} {share}", "verdicts": shown}
