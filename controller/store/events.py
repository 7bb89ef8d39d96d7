"""The journal: recorded facts, newest last."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Row, Select, func, insert, select

from controller.model.status import Event, EventSeverity
from controller.store.schema import events
from controller.store.store import Transaction


def append(tx: Transaction, new: Iterable[Event]) -> None:
    """Record these facts, in this order."""
    rows = [
        {
            "project": tx.project,
            "time": event.time,
            "severity": event.severity.value,
            "reason": event.reason,
            "message": event.message,
            "about": event.about,
            "revision": event.revision,
        }
        for event in new
    ]
    if rows:
        tx.connection.execute(insert(events), rows)


def latest(tx: Transaction, limit: int, *, about: str | None = None) -> list[Event]:
    """The newest `limit` events, of all or about one thing, newest first."""
    query = select(events).where(events.c.project == tx.project).order_by(events.c.id.desc()).limit(limit)
    return [_from_row(row) for row in tx.connection.execute(_about(query, about))]


def since(tx: Transaction, last: int, *, about: str | None = None) -> tuple[list[Event], int]:
    """The events after the one of this number, oldest first, and the number of the newest."""
    query = select(events).where(events.c.project == tx.project, events.c.id > last).order_by(events.c.id)
    rows = list(tx.connection.execute(_about(query, about)))
    return [_from_row(row) for row in rows], rows[-1].id if rows else last


def last_number(tx: Transaction) -> int:
    """The number of the newest event; 0 before the first."""
    return tx.connection.execute(select(func.max(events.c.id)).where(events.c.project == tx.project)).scalar() or 0


def _about(query: Select[Any], about: str | None) -> Select[Any]:
    return query if about is None else query.where(events.c.about == about)


def _from_row(row: Row[Any]) -> Event:
    return Event(
        time=row.time,
        severity=EventSeverity(row.severity),
        reason=row.reason,
        message=row.message,
        about=row.about,
        revision=row.revision,
    )
