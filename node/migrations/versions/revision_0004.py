"""The audit keeps the value of the agreement with replicates, not what it exceeds a null by.

A revision says what the schema was on its day, so it repeats the columns instead of importing them. The columns
``replicate_agreement`` stay as they are: figures kept before this release are read, never mixed with the new ones.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the figure to observations and to pairs."""
    op.add_column("observations", sa.Column("replicate_spearman", sa.Float))
    for which in ("first", "second"):
        op.add_column("repeat_pairs", sa.Column(f"{which}_replicate_spearman", sa.Float))
