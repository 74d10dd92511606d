"""Instances that say this product made them, where no node of this store did: kept, and not analysed."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column; an earlier release kept no such instance."""
    op.add_column("instances", sa.Column("foreign_result", sa.Boolean, nullable=False, server_default=sa.false()))
