"""A run may have to wait: `runs.not_before`, and the index by which the queue is read."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Apply. The table is never copied: dropping the old one would take the attempts with it."""
    with op.batch_alter_table("runs", recreate="never") as batch_op:
        batch_op.add_column(sa.Column("not_before", sa.DateTime(timezone=True), nullable=True))
        batch_op.drop_index("ix_runs_state")
        batch_op.create_index("ix_runs_state_not_before", ["state", "not_before"], unique=False)
