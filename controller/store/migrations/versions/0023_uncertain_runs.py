"""Runs of which it is unknown whether they are still running, the hosts on which they may be, and names of projects."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Apply."""
    op.add_column("runs", sa.Column("uncertain_since", sa.DateTime(timezone=True)))
    op.add_column("runs", sa.Column("uncertain_reason", sa.Text()))
    op.add_column("source", sa.Column("project_name", sa.Text()))
    op.create_table(
        "hosts",
        sa.Column("project", sa.String(length=63), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("project", "place"),
    )
    op.create_table(
        "attempt_reports",
        sa.Column("run_id", sa.String(length=36), sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("nonce", sa.String(length=32), nullable=False),
        sa.Column("outcome", sa.JSON()),
        sa.Column("doubt", sa.Text()),
        sa.Column("events", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "number"),
    )
