"""Queues with limits, and the columns for waiting, retrying and cancelling runs."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply. The table of runs is not copied, since dropping the old one would delete the attempts."""
    op.create_table(
        "queues",
        sa.Column("project", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("limit", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("project", "name"),
    )
    with op.batch_alter_table("runs", recreate="never") as batch_op:
        batch_op.add_column(sa.Column("queue", sa.String(length=63), server_default="default", nullable=False))
        batch_op.add_column(sa.Column("priority", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("serial", sa.Boolean(), server_default=sa.false(), nullable=False))
        batch_op.add_column(sa.Column("start_by", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("retries", sa.JSON(none_as_null=True), nullable=True))
        batch_op.add_column(sa.Column("cancel_reason", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("retry_of", sa.String(length=36), nullable=True))
