"""The number of runs by state, maintained by triggers, since counting millions of runs takes seconds.

Triggers update the counts in the transaction of each change, so they are exact even after a crash.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_ADD = """
INSERT INTO run_counts (project, state, count) VALUES (NEW.project, NEW.state, 1)
ON CONFLICT (project, state) DO UPDATE SET count = count + 1;
"""
_TAKE = "UPDATE run_counts SET count = count - 1 WHERE project = OLD.project AND state = OLD.state;"


def upgrade() -> None:
    """Apply. A later migration that recreates `runs` must recreate the triggers too."""
    op.create_table(
        "run_counts",
        sa.Column("project", sa.String(63), primary_key=True),
        sa.Column("state", sa.String(16), primary_key=True),
        sa.Column("count", sa.Integer, nullable=False),
    )
    op.execute("INSERT INTO run_counts (project, state, count) SELECT project, state, count(*) FROM runs GROUP BY 1, 2")
    op.execute(f"CREATE TRIGGER run_counts_insert AFTER INSERT ON runs BEGIN {_ADD} END")
    op.execute(f"CREATE TRIGGER run_counts_delete AFTER DELETE ON runs BEGIN {_TAKE} END")
    op.execute(
        "CREATE TRIGGER run_counts_update AFTER UPDATE OF state, project ON runs "
        f"WHEN OLD.state <> NEW.state OR OLD.project <> NEW.project BEGIN {_TAKE} {_ADD} END"
    )
