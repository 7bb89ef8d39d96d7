"""Backfills as objects, the due times that they selected, and what the runs of redone due times record."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Apply. The table of runs is not copied, since dropping the old one would delete the attempts."""
    op.create_table(
        "backfills",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project", sa.String(length=63), nullable=False),
        sa.Column("deployment", sa.String(length=100), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("redo", sa.String(length=16), nullable=True),
        sa.Column("code", sa.String(length=16), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("parallel", sa.Integer(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("spec_digest", sa.String(length=80), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_backfills_project_deployment_id", "backfills", ["project", "deployment", "id"])
    op.create_index("ix_backfills_project_state", "backfills", ["project", "state"])
    op.create_table(
        "backfill_times",
        sa.Column("backfill_id", sa.String(length=36), nullable=False),
        sa.Column("due_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("schedule", sa.Text(), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.ForeignKeyConstraint(["backfill_id"], ["backfills.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("backfill_id", "due_time"),
    )
    op.create_index("ix_backfill_times_run_id", "backfill_times", ["run_id"])
    op.create_index("ix_backfill_times_backfill_id_run_id", "backfill_times", ["backfill_id", "run_id"])
    with op.batch_alter_table("runs", recreate="never") as batch_op:
        batch_op.add_column(sa.Column("backfill_id", sa.String(length=36), nullable=True))
        batch_op.add_column(sa.Column("behind_backfill", sa.Boolean(), server_default=sa.false(), nullable=False))
        batch_op.add_column(sa.Column("overrides", sa.JSON(none_as_null=True), nullable=True))
    op.create_index("ix_runs_project_deployment_scheduled_for", "runs", ["project", "deployment", "scheduled_for"])
    op.create_index("ix_runs_backfill_id_state", "runs", ["backfill_id", "state"])
