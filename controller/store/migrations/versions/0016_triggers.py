"""Upstream deployments, files and webhooks, and known holidays. Runs get a name, a limit and upstream runs."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("runs", recreate="never") as batch_op:
        batch_op.add_column(sa.Column("overlap_limit", sa.Integer(), server_default="1", nullable=False))
        batch_op.add_column(sa.Column("name", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("upstream", sa.JSON(), nullable=True))
    _create_upstream_tables()
    _create_file_tables()
    op.create_table(
        "webhooks",
        sa.Column("project", sa.String(length=100), nullable=False),
        sa.Column("webhook", sa.String(length=100), nullable=False),
        sa.Column("deployment", sa.String(length=100), nullable=False),
        sa.PrimaryKeyConstraint("project", "webhook", "deployment"),
    )
    op.create_index("ix_webhooks_project_deployment", "webhooks", ["project", "deployment"])
    op.create_table(
        "webhook_deliveries",
        sa.Column("project", sa.String(length=100), nullable=False),
        sa.Column("webhook", sa.String(length=100), nullable=False),
        sa.Column("delivery", sa.String(length=200), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("project", "webhook", "delivery"),
    )
    op.create_index("ix_webhook_deliveries_project_received_at", "webhook_deliveries", ["project", "received_at"])
    op.create_table(
        "holiday_data",
        sa.Column("project", sa.String(length=100), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("first_year", sa.Integer(), nullable=False),
        sa.Column("days", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("project"),
    )


def _create_file_tables() -> None:
    op.create_table(
        "seen_files",
        sa.Column("project", sa.String(length=100), nullable=False),
        sa.Column("deployment", sa.String(length=100), nullable=False),
        sa.Column("path", sa.LargeBinary(), nullable=False),
        sa.Column("inode", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("modified_ns", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=True),
        sa.Column("missing_since", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("project", "deployment", "path"),
    )
    op.create_table(
        "watch_problems",
        sa.Column("project", sa.String(length=100), nullable=False),
        sa.Column("deployment", sa.String(length=100), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("project", "deployment", "path"),
    )


def _create_upstream_tables() -> None:
    op.create_table(
        "dependencies",
        sa.Column("project", sa.String(length=100), nullable=False),
        sa.Column("deployment", sa.String(length=100), nullable=False),
        sa.Column("upstream", sa.String(length=100), nullable=False),
        sa.PrimaryKeyConstraint("project", "deployment", "upstream"),
    )
    op.create_index("ix_dependencies_project_upstream", "dependencies", ["project", "upstream"])
    op.create_table(
        "finished_upstreams",
        sa.Column("id", _ID, nullable=False, autoincrement=True),
        sa.Column("project", sa.String(length=100), nullable=False),
        sa.Column("deployment", sa.String(length=100), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("project", "run_id", name="uq_finished_upstreams_project_run_id"),
    )
    op.create_table(
        "gates",
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("upstream", sa.String(length=100), nullable=False),
        sa.Column("project", sa.String(length=100), nullable=False),
        sa.Column("condition", sa.String(length=16), nullable=False),
        sa.Column("due_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("upstream_run_id", sa.String(length=36), nullable=True),
        sa.Column("is_enough", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "upstream"),
    )
    op.create_index("ix_gates_project_state_upstream_until", "gates", ["project", "state", "upstream", "until"])
    op.create_index("ix_gates_upstream_run_id", "gates", ["upstream_run_id"])
    op.create_table(
        "releases",
        sa.Column("project", sa.String(length=100), nullable=False),
        sa.Column("deployment", sa.String(length=100), nullable=False),
        sa.Column("upstream", sa.String(length=100), nullable=False),
        sa.Column("chain", sa.String(length=64), nullable=False),
        sa.Column("upstream_run_id", sa.String(length=36), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=True),
        sa.PrimaryKeyConstraint("project", "deployment", "upstream", "chain"),
    )
    op.create_index("ix_releases_project_deployment_run_id", "releases", ["project", "deployment", "run_id"])
