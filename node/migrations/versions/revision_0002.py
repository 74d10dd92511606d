"""What the second release adds to the schema.

A revision says what the schema was on its day, so it repeats the columns instead of importing them.
"""

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add what is new."""
