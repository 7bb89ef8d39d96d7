"""Since when, and why, controller cannot find out whether a run is still running."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0021"


def upgrade() -> None:
    """Apply."""
    op.add_column("runs", sa.Column("uncertain_since", sa.DateTime(timezone=True)))
    op.add_column("runs", sa.Column("uncertain_reason", sa.Text()))
