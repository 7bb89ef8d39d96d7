"""The state of each due time, which remains after its runs were deleted; and an index to find old backfills."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

# For each due time, SQLite returns `id` and `state` of the row with the maximum: the latest run that was not cancelled,
# or the latest one if all were. The index on the due time of runs provides the groups. A due time that is not in the
# ledger was requested for a deployment without a schedule.
_FILL = """
INSERT INTO occurrences (project, deployment, scheduled_for, schedule, outcome, run_id, state)
SELECT project, deployment, scheduled_for, '', 'run', id, state FROM (
    SELECT project, deployment, scheduled_for, id, state, max((state <> 'cancelled') || id)
    FROM runs
    WHERE scheduled_for IS NOT NULL AND state IN ('succeeded', 'failed', 'timed_out', 'crashed', 'cancelled', 'skipped')
    GROUP BY project, deployment, scheduled_for
)
WHERE true
ON CONFLICT (project, deployment, scheduled_for) DO UPDATE SET
    state = excluded.state,
    run_id = excluded.run_id,
    outcome = CASE excluded.state WHEN 'skipped' THEN outcome ELSE 'run' END,
    reason = CASE excluded.state WHEN 'skipped' THEN reason END
"""


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("occurrences", recreate="never") as batch_op:
        batch_op.add_column(sa.Column("state", sa.String(length=16), nullable=True))
    op.execute(_FILL)
    op.create_index("ix_backfills_project_finished_at", "backfills", ["project", "finished_at"])
