"""Since when the images of a study, and the file of a result, are removed by retention."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the columns; an earlier release removed nothing."""
    op.add_column("studies", sa.Column("originals_removed_at", sa.DateTime(timezone=True)))
    op.add_column("results", sa.Column("removed_at", sa.DateTime(timezone=True)))
