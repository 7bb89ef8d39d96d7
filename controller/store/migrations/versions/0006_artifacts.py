"""Artifacts and run names, as reported by flows: two columns of `task_trees`."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("task_trees", recreate="never") as batch_op:
        batch_op.add_column(sa.Column("artifacts", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("name", sa.Text(), nullable=True))
