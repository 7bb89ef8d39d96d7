"""The tables of the leading controller and of its lease. Only databases on a server have rows in them."""

from sqlalchemy import BigInteger, Column, Integer, String, Table, Text

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
