"""The location that was applied, why changes are not watched for, and overdue passes: three columns of `source`."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("source", recreate="never") as batch_op:
        batch_op.add_column(sa.Column("followed", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("watch_problem", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("overdue_since", sa.DateTime(timezone=True), nullable=True))
