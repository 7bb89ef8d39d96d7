"""The tables of controllers. Those that share a state need them; a state in a file has only rows in `executors`."""

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, Integer, String, Table, Text

from controller.store.schema import Instant, metadata

leadership = Table(
    "leadership",
    metadata,
    Column("project", String(63), primary_key=True),
    Column("term", BigInteger, nullable=False),
    Column("holder", String(32), nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", Text, nullable=False),
    Column("since", Instant, nullable=False),
    Column("commits", BigInteger, nullable=False),
    Column("url", Text),
)
"""Every write transaction changes the row of its project, so that write transactions exclude each other."""

leases = Table(
    "leases",
    metadata,
    Column("project", String(63), primary_key=True),
    Column("holder", String(32), nullable=False),
    Column("renewed_at", Instant, nullable=False),
)
"""A table of its own: the leader also renews its lease during long transactions."""

hosts = Table(
    "hosts",
    metadata,
    Column("project", String(63), primary_key=True),
    Column("place", Text, primary_key=True),
    Column("pid", Integer, nullable=False),
    Column("version", Text, nullable=False),
    Column("seen_at", Instant, nullable=False),
)
"""The last sign of life of the controllers at each place: a host and a directory. Each one writes its own row."""

attempt_reports = Table(
    "attempt_reports",
    metadata,
    Column("run_id", String(36), ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("nonce", String(32), nullable=False),
    Column("outcome", JSON(none_as_null=True)),
    Column("doubt", Text),
    Column("events", Text, nullable=False),
)
"""How attempts ended on the hosts of standbys, which write it. The leader records the outcomes."""

executors = Table(
    "executors",
    metadata,
    Column("project", String(100), primary_key=True),
    Column("name", String(32), primary_key=True),
    Column("status", String(16), nullable=False),
    Column("reason", String(64), nullable=False),
    Column("message", Text, nullable=False),
    Column("since", Instant, nullable=False),
)
"""The executors of the controller that leads or led last. It writes them when a condition `ExecutorReady` changes."""
