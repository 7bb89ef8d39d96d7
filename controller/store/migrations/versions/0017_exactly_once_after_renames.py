"""Records of releases and gates that a rename of a deployment does not change."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("runs", recreate="never") as batch_op:
        batch_op.add_column(sa.Column("chain", sa.String(length=64), nullable=True))
    with op.batch_alter_table("releases", recreate="never") as batch_op:
        batch_op.add_column(sa.Column("first_run_id", sa.String(length=36), server_default="", nullable=False))
    with op.batch_alter_table("gates", recreate="never") as batch_op:
        batch_op.add_column(sa.Column("declared", sa.String(length=100), server_default="", nullable=False))
    op.execute("UPDATE releases SET first_run_id = upstream_run_id")
    op.execute("UPDATE gates SET declared = upstream")
