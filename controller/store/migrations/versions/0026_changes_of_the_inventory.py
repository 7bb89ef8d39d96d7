"""The number of the last change of each deployment, old names, and indexes for the changes and the latest cursor."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    """Apply."""
    op.add_column("inventory", sa.Column("change", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_index("ix_inventory_project_change", "inventory", ["project", "change"])
    op.create_index(
        "ix_inventory_project_cursor",
        "inventory",
        ["project", "cursor"],
        sqlite_where=sa.text("removed_at IS NULL"),
        postgresql_where=sa.text("removed_at IS NULL"),
    )
    op.create_table(
        "renames",
        sa.Column("project", sa.String(length=63), nullable=False),
        sa.Column("old_name", sa.String(length=100), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "old_name"),
    )
