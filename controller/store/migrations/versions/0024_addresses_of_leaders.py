"""The URL at which a standby reaches the leading controller."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    """Apply."""
    op.add_column("leadership", sa.Column("url", sa.Text()))
