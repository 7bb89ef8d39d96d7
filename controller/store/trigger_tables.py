"""The tables of upstream deployments, files, webhooks and holidays. Only this package and its migrations use them."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from controller.store.schema import Id, Instant, metadata

dependencies = Table(
    "dependencies",
    metadata,
    Column("project", String(100), primary_key=True),
    Column("deployment", String(100), primary_key=True),
    Column("upstream", String(100), primary_key=True),
    Index("ix_dependencies_project_upstream", "project", "upstream"),
)
"""The active `after` declarations. The reconciler writes it in the transaction that applies a plan."""

finished_upstreams = Table(
    "finished_upstreams",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("project", String(100), nullable=False),
    Column("deployment", String(100), nullable=False),
    Column("run_id", String(36), nullable=False),
    UniqueConstraint("project", "run_id"),
)
"""Runs of upstream deployments that have finished and were not evaluated yet. Written with their outcome."""

gates = Table(
    "gates",
    metadata,
    Column("run_id", String(36), ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("upstream", String(100), primary_key=True),
    Column("project", String(100), nullable=False),
    Column("condition", String(16), nullable=False),
    Column("due_time", Instant),
    Column("since", Instant),
    Column("until", Instant, nullable=False),
    Column("state", String(16), nullable=False),
    Column("upstream_run_id", String(36)),
    Column("is_enough", Boolean, nullable=False),
    Column("declared", String(100), nullable=False, server_default=""),
    Index("ix_gates_project_state_upstream_until", "project", "state", "upstream", "until"),
    Index("ix_gates_upstream_run_id", "upstream_run_id"),
)
"""The upstream runs that the run of a due time waits for: that of `due_time`, or one created after `since`.

With `is_enough`, one open gate of the run is enough. `declared` is the upstream as the commit of the run names it.
"""

releases = Table(
    "releases",
    metadata,
    Column("project", String(100), primary_key=True),
    Column("deployment", String(100), primary_key=True),
    Column("upstream", String(100), primary_key=True),
    Column("chain", String(64), primary_key=True),
    Column("upstream_run_id", String(36), nullable=False),
    Column("finished_at", Instant, nullable=False),
    Column("run_id", String(36)),
    Column("first_run_id", String(36), nullable=False, server_default=""),
    Index("ix_releases_project_deployment_run_id", "project", "deployment", "run_id"),
)
"""Upstream runs that count for a deployment without schedules; `run_id` is the run that they released, if there is one.

`chain` is the due time, or that of `runs.chain`, or the id of the run: a redo belongs to the same chain. `first_run_id`
is the first upstream run of the chain that has counted.
"""

seen_files = Table(
    "seen_files",
    metadata,
    Column("project", String(100), primary_key=True),
    Column("deployment", String(100), primary_key=True),
    Column("path", LargeBinary, primary_key=True),
    Column("inode", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("modified_ns", BigInteger, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("run_id", String(36)),
    Column("missing_since", Instant),
)
"""The last version of each file that started a run. A path is stored as bytes because it may not be UTF-8."""

watch_problems = Table(
    "watch_problems",
    metadata,
    Column("project", String(100), primary_key=True),
    Column("deployment", String(100), primary_key=True),
    Column("path", Text, primary_key=True),
    Column("reason", String(64), nullable=False),
    Column("message", Text, nullable=False),
    Column("since", Instant, nullable=False),
)
"""Why files in a watched folder start no runs, one row for each folder that has a problem."""

webhooks = Table(
    "webhooks",
    metadata,
    Column("project", String(100), primary_key=True),
    Column("webhook", String(100), primary_key=True),
    Column("deployment", String(100), primary_key=True),
    Index("ix_webhooks_project_deployment", "project", "deployment"),
)
"""The webhooks of active deployments. The reconciler writes it in the transaction that applies a plan."""

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("project", String(100), primary_key=True),
    Column("webhook", String(100), primary_key=True),
    Column("delivery", String(200), primary_key=True),
    Column("received_at", Instant, nullable=False),
    Column("run_id", String(36), nullable=False),
    Index("ix_webhook_deliveries_project_received_at", "project", "received_at"),
)

holiday_data = Table(
    "holiday_data",
    metadata,
    Column("project", String(100), primary_key=True),
    Column("version", String(64), nullable=False),
    Column("first_year", Integer, nullable=False),
    Column("days", JSON, nullable=False),
)
"""The holidays of the calendars of active deployments, as the last pass knew them. `days` has them by code."""
