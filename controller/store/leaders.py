"""Reads which controller leads a project, and records its address. `leadership` writes the rest."""

from datetime import timedelta

from sqlalchemy import bindparam, func, select, update

from controller.model.leaders import Leader
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


def find_leader(tx: Transaction) -> Leader | None:
    """Return the controller that leads the project, or led it last; None before the first one."""
    row = tx.connection.execute(_LEADER, {"project": tx.project}).first()
    if row is None:
        return None
    return Leader(
        leads=row.renewed_at is not None and row.now - row.renewed_at < LEASE,
        host=row.host,
        pid=row.pid,
        version=row.version,
        since=row.since,
        term=row.term,
        url=row.url,
    )


def set_url(tx: Transaction, url: str | None) -> None:
    """Record where the leader serves the API."""
    tx.connection.execute(update(leadership).where(leadership.c.project == tx.project).values(url=url))
