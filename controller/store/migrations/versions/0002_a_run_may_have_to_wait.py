"""Waiting runs: `runs.not_before`, and the index for reading the queue."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Apply. The table is not copied, since dropping the old one would delete the attempts (ON DELETE CASCADE)."""
    with op.batch_alter_table("runs", recreate="never") as batch_op:
        batch_op.add_column(sa.Column("not_before", sa.DateTime(timezone=True), nullable=True))
        batch_op.drop_index("ix_runs_state")
        batch_op.create_index("ix_runs_state_not_before", ["state", "not_before"], unique=False)
