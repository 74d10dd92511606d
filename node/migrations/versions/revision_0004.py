"""How far a series lies from those of commissioning, whether or not anything was found, and charts of it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns; what was observed before has no such figures."""
    for name in ("distance", "negative_unlike"):
        op.add_column("observations", sa.Column(name, sa.Float))
