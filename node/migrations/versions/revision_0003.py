"""What came after 0.1.0: attempts at a decision, replicates' agreement by its value, holds, corrected Patient IDs.

A revision says what the schema was on its day, so it repeats the columns instead of importing them. The columns
``replicate_agreement`` stay as they are: figures kept by an earlier release are read, never mixed with the new ones.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns; a hold of the earlier release awaits a replay where its reason says so."""
    op.add_column("studies", sa.Column("attempts", sa.Integer, nullable=False, server_default="0"))
    op.add_column("studies", sa.Column("corrected_patient", sa.String(64)))
    op.add_column("instances", sa.Column("patient", sa.String(64), nullable=False, server_default=""))
    op.add_column("instances", sa.Column("former_patients", sa.Text, nullable=False, server_default=""))
    op.add_column("observations", sa.Column("replicate_spearman", sa.Float))
    for which in ("first", "second"):
        op.add_column("repeat_pairs", sa.Column(f"{which}_replicate_spearman", sa.Float))
    op.add_column("route_states", sa.Column("awaits_replay", sa.Boolean, nullable=False, server_default=sa.false()))
    states = sa.table("route_states", sa.column("reason", sa.Text), sa.column("awaits_replay", sa.Boolean))
    awaiting = states.c.reason.like("%its replay is due.")
    op.execute(sa.update(states).where(awaiting).values(awaits_replay=True))
