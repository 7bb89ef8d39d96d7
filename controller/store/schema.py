"""The tables of the state database. Only this package and its migrations access them.

A deployment is identified by `(project, name)`.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    and_,
    false,
    text,
)

from controller.model.names import MAX_NAME
from controller.model.runs import Trigger

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)


class Instant(TypeDecorator[datetime]):
    """A column type for aware UTC datetimes with microseconds. Naive values raise ValueError."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Convert a value for the database: to UTC, and to a naive one for SQLite, which has no time zones."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime reached the store")
        in_utc = value.astimezone(UTC)
        return in_utc.replace(tzinfo=None) if dialect.name == "sqlite" else in_utc

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Convert a value from the database to an aware datetime. Sessions with PostgreSQL have the time zone UTC."""
        return None if value is None else value.replace(tzinfo=UTC)


def only_where(condition: str) -> dict[str, Any]:
    """Return the options of an index that contains only the rows for which the condition holds.

    `databases.postgresql_tables` copies them for PostgreSQL, because its option here would load the whole dialect.
    """
    return {"sqlite_where": text(condition)}


Id = BigInteger().with_variant(Integer, "sqlite")

source = Table(
    "source",
    metadata,
    Column("project", String(63), primary_key=True),
    Column("repo", Text, nullable=False),
    Column("ref", Text),
    Column("revision", Text),
    Column("last_attempted_revision", Text),
    Column("last_applied_revision", Text),
    Column("conditions", JSON, nullable=False),
    Column("findings", JSON, nullable=False),
    Column("withheld", JSON(none_as_null=True)),
    Column("approved", Text),
    Column("followed", Text),
    Column("watch_problem", Text),
    Column("overdue_since", Instant),
    Column("environment", Text),
    Column("project_name", Text),
)

inventory = Table(
    "inventory",
    metadata,
    Column("project", String(63), primary_key=True),
    Column("name", String(MAX_NAME), primary_key=True),
    Column("file", Text, nullable=False),
    Column("line", Integer, nullable=False),
    Column("document", JSON, nullable=False),
    Column("spec_digest", String(80), nullable=False),
    Column("revision", Text, nullable=False),
    Column("pinned", Text),
    Column("cursor", Instant, nullable=False),
    Column("conditions", JSON, nullable=False),
    Column("removed_at", Instant),
    Column("generation", Integer, nullable=False, server_default="1"),
    Column("python", String(64)),
    Column("python_declared_at", Text),
    Column("python_waiting", String(64)),
    Column("changed_in", String(64)),
    Column("change", BigInteger, nullable=False, server_default="0"),
    Index(None, "project", "change"),
    Index(None, "project", "cursor", **only_where("removed_at IS NULL")),
)

renames = Table(
    "renames",
    metadata,
    Column("project", String(63), primary_key=True),
    Column("old_name", String(MAX_NAME), primary_key=True),
    Column("change", BigInteger, nullable=False),
)

commits = Table(
    "commits",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("project", String(63), nullable=False),
    Column("sha", String(64), nullable=False),
    Column("author", Text, nullable=False),
    Column("author_date", Instant, nullable=False),
    Column("subject", Text, nullable=False),
    Column("added", JSON, nullable=False),
    Column("changed", JSON, nullable=False),
    Column("removed", JSON, nullable=False),
    UniqueConstraint("project", "sha"),
)

holds = Table(
    "holds",
    metadata,
    Column("project", String(63), primary_key=True),
    Column("deployment", String(MAX_NAME), primary_key=True),
    Column("reason", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("since", Instant, nullable=False),
    Column("until", Instant),
)

queues = Table(
    "queues",
    metadata,
    Column("project", String(63), primary_key=True),
    Column("name", String(63), primary_key=True),
    Column("limit", Integer, nullable=False),
)

passes = Table(
    "passes",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("project", String(63), nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("revision", Text),
    Column("reason", String(64), nullable=False),
    Column("message", Text, nullable=False),
    Column("counts", JSON, nullable=False),
    Column("stages", JSON, nullable=False),
)

occurrences = Table(
    "occurrences",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("project", String(63), nullable=False),
    Column("deployment", String(MAX_NAME), nullable=False),
    Column("scheduled_for", Instant, nullable=False),
    Column("schedule", Text, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("run_id", String(36)),
    Column("reason", Text),
    Column("state", String(16)),
    UniqueConstraint("project", "deployment", "scheduled_for"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project", String(63), nullable=False),
    Column("deployment", String(MAX_NAME), nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text),
    Column("trigger", String(16), nullable=False),
    Column("scheduled_for", Instant),
    Column("not_before", Instant),
    Column("idempotency_key", Text),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Column("attempt", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("exit_code", Integer),
    Column("signal", Integer),
    Column("revision", Text, nullable=False),
    Column("file", Text, nullable=False),
    Column("spec_digest", String(80), nullable=False),
    Column("version", Text),
    Column("tags", JSON, nullable=False),
    Column("parameters", JSON, nullable=False),
    Column("result", JSON(none_as_null=True)),
    Column("queue", String(63), nullable=False, server_default="default"),
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("serial", Boolean, nullable=False, server_default=false()),
    Column("overlap_limit", Integer, nullable=False, server_default="1"),
    Column("start_by", Instant),
    Column("retries", JSON(none_as_null=True)),
    Column("cancel_reason", Text),
    Column("retry_of", String(36)),
    Column("backfill_id", String(36)),
    Column("behind_backfill", Boolean, nullable=False, server_default=false()),
    Column("overrides", JSON(none_as_null=True)),
    Column("python", String(64)),
    Column("python_declared_at", Text),
    Column("name", Text),
    Column("upstream", JSON(none_as_null=True)),
    Column("chain", String(64)),
    Column("uncertain_since", Instant),
    Column("uncertain_reason", Text),
    UniqueConstraint("project", "deployment", "idempotency_key"),
    Index("ix_runs_project_deployment_id", "project", "deployment", "id"),
    Index("ix_runs_project_deployment_scheduled_for", "project", "deployment", "scheduled_for"),
    Index("ix_runs_backfill_id_state", "backfill_id", "state"),
    Index("ix_runs_project_state_id", "project", "state", "id"),
    Index("ix_runs_python", "python", **only_where("python IS NOT NULL")),
    Index("ix_runs_success", "project", "deployment", "finished_at", **only_where("state = 'succeeded'")),
)

IS_REDO = and_(runs.c.scheduled_for.is_not(None), runs.c.trigger != Trigger.SCHEDULE.value)
"""Whether a user requested a run for its due time: with a backfill, a retry or `trigger --due-time`."""

backfills = Table(
    "backfills",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project", String(63), nullable=False),
    Column("deployment", String(MAX_NAME), nullable=False),
    Column("state", String(16), nullable=False),
    Column("since", Instant, nullable=False),
    Column("until", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("author", Text, nullable=False),
    Column("total", Integer, nullable=False),
    Column("redo", String(16)),
    Column("code", String(16), nullable=False),
    Column("parameters", JSON, nullable=False),
    Column("parallel", Integer, nullable=False),
    Column("file", Text, nullable=False),
    Column("line", Integer, nullable=False),
    Column("document", JSON, nullable=False),
    Column("revision", Text, nullable=False),
    Column("spec_digest", String(80), nullable=False),
    Index("ix_backfills_project_deployment_id", "project", "deployment", "id"),
    Index("ix_backfills_project_state", "project", "state"),
    Index("ix_backfills_project_finished_at", "project", "finished_at"),
)

backfill_times = Table(
    "backfill_times",
    metadata,
    Column("backfill_id", String(36), ForeignKey("backfills.id", ondelete="CASCADE"), primary_key=True),
    Column("due_time", Instant, primary_key=True),
    Column("schedule", Text, nullable=False),
    Column("run_id", String(36)),
    Column("outcome", String(16)),
    Index("ix_backfill_times_run_id", "run_id"),
    Index("ix_backfill_times_backfill_id_run_id", "backfill_id", "run_id"),
)

run_counts = Table(  # written only by triggers on `runs`, see migration 0008
    "run_counts",
    metadata,
    Column("project", String(63), primary_key=True),
    Column("state", String(16), primary_key=True),
    Column("count", Integer, nullable=False),
)

attempts = Table(
    "attempts",
    metadata,
    Column("run_id", String(36), ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("nonce", String(32), nullable=False),
    Column("boot_id", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Column("exit_code", Integer),
    Column("signal", Integer),
    Column("reason", Text),
    Column("place", Text),
    Column("executor", String(32), nullable=False, server_default="local"),
    Column("job_id", Text),
    Column("session", Text),
    Column("instance", String(32)),
    Column("ticket", String(64)),
    Column("code", String(64)),
    Column("node", Text),
    Index("ix_attempts_job_id", "job_id", unique=True),
)

task_trees = Table(
    "task_trees",
    metadata,
    Column("run_id", String(36), ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("runs", JSON, nullable=False),
    Column("dropped", Integer, nullable=False),
    Column("artifacts", JSON),
    Column("name", Text),
)

python_requests = Table(
    "python_requests",
    metadata,
    Column("project", String(63), primary_key=True),
    Column("request", String(64), primary_key=True),
    Column("declared_at", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("committed_at", Instant),
    Column("state", String(16), nullable=False),
    Column("reason", String(64), nullable=False),
    Column("message", Text, nullable=False),
    Column("log", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("retry_at", Instant),
    Column("interpreter", Text),
    Column("lock", Text),
    Column("digest", String(64)),
    Index("ix_python_requests_project_digest", "project", "digest"),
)

python_environments = Table(
    "python_environments",
    metadata,
    Column("project", String(63), primary_key=True),
    Column("digest", String(64), primary_key=True),
    Column("version", Text, nullable=False),
    Column("packages", JSON, nullable=False),
    Column("executable", Text),
    Column("ready_at", Instant, nullable=False),
    Column("used_at", Instant, nullable=False),
    Column("bytes", BigInteger, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("project", String(63), nullable=False),
    Column("time", Instant, nullable=False),
    Column("severity", String(16), nullable=False),
    Column("reason", String(64), nullable=False),
    Column("message", Text, nullable=False),
    Column("about", Text, nullable=False),
    Column("revision", Text),
    Column("deployment", String(MAX_NAME)),
    Column("run_id", String(36)),
    Column("tags", JSON, nullable=False, server_default="[]"),
    Column("environment", Text),
    Index("ix_events_project_about_id", "project", "about", "id"),
    Index("ix_events_run_id", "run_id"),
)

clock_readings = Table(
    "clock_readings",
    metadata,
    Column("project", String(63), primary_key=True),
    Column("boot_id", String(64), nullable=False),
    Column("booted_at", Instant, nullable=False),
    Column("elapsed", Float, nullable=False),
)
"""The clock when due times were last decided. `elapsed` is the time since the boot, at `booted_at` by that clock."""
