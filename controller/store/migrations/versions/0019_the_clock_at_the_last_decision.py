"""The reading of the clock when due times were last decided, so that a jump is noticed after a restart."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "clock_readings",
        sa.Column("project", sa.String(length=63), nullable=False),
        sa.Column("boot_id", sa.String(length=64), nullable=False),
        sa.Column("booted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("elapsed", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("project"),
    )
