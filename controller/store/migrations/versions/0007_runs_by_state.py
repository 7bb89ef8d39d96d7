"""An index for reading the runs of a state, newest first."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Apply."""
    op.create_index("ix_runs_project_state_id", "runs", ["project", "state", "id"])
    op.drop_index("ix_runs_state_not_before", table_name="runs")
