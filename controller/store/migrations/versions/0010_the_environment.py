"""The environment whose overlays are applied: `source.environment`."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("source", recreate="never") as batch_op:
        batch_op.add_column(sa.Column("environment", sa.Text(), nullable=True))
