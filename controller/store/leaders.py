"""Reads which controller leads a project, and records its address. `leadership` writes the rest."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, func, select, update

from controller.store.leadership_tables import leadership, leases
from controller.store.schema import Instant
from controller.store.store import Transaction

LEASE = timedelta(seconds=6)
"""How long a leader may be silent before another controller ends its sessions and leads."""

_LEADER = (
    select(leadership, leases.c.renewed_at, func.current_timestamp(type_=Instant).label("now"))
    .select_from(leadership.outerjoin(leases, leases.c.holder == leadership.c.holder))
    .where(leadership.c.project == bindparam("project"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leader:
    """The controller that led last.

    `silent_for`: how long ago it renewed its lease, None if it stopped. `url`: where it serves the API, None if it does
    not, or not yet.
    """

    host: str
    pid: int
    version: str
    since: datetime
    term: int
    silent_for: timedelta | None
    url: str | None

    @property
    def is_leading(self) -> bool:
        """Whether its lease is valid."""
        return self.silent_for is not None and self.silent_for < LEASE


def find_leader(tx: Transaction) -> Leader | None:
    """Return the controller that leads the project, or led it last; None before the first one."""
    row = tx.connection.execute(_LEADER, {"project": tx.project}).first()
    if row is None:
        return None
    silent_for = None if row.renewed_at is None else row.now - row.renewed_at
    return Leader(
        host=row.host,
        pid=row.pid,
        version=row.version,
        since=row.since,
        term=row.term,
        silent_for=silent_for,
        url=row.url,
    )


def set_url(tx: Transaction, url: str | None) -> None:
    """Record where the leader serves the API."""
    tx.connection.execute(update(leadership).where(leadership.c.project == tx.project).values(url=url))
