"""How often the decision about a study has been tried.

A revision says what the schema was on its day, so it repeats the columns instead of importing them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add what is new."""
    op.add_column("studies", sa.Column("attempts", sa.Integer, nullable=False, server_default="0"))
