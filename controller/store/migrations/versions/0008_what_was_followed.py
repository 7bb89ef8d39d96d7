"""What was followed when the inventory was applied: location, path, environment."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("source", recreate="never") as batch_op:
        batch_op.add_column(sa.Column("followed", sa.Text(), nullable=True))
