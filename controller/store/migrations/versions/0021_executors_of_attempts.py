"""The executor that has launched an attempt. Earlier attempts ran as processes of the machine."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Apply."""
    op.add_column("attempts", sa.Column("executor", sa.String(length=32), server_default="local", nullable=False))
