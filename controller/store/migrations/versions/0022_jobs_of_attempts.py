"""The job of an attempt that runs on a cluster, and the runner that was allowed to start its flow."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Apply."""
    op.add_column("attempts", sa.Column("job_id", sa.Text()))
    op.add_column("attempts", sa.Column("session", sa.Text()))
    op.add_column("attempts", sa.Column("instance", sa.String(length=32)))
    op.add_column("attempts", sa.Column("ticket", sa.String(length=64)))
    op.add_column("attempts", sa.Column("code", sa.String(length=64)))
    op.add_column("attempts", sa.Column("node", sa.Text()))
    op.create_index("ix_attempts_job_id", "attempts", ["job_id"], unique=True)
