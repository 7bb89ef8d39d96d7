"""The journal: recorded facts, newest last."""

from collections.abc import Iterable

from sqlalchemy import insert, select

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


def latest(tx: Transaction, limit: int) -> list[Event]:
    """The newest `limit` events, newest first."""
    rows = tx.connection.execute(
        select(events).where(events.c.project == tx.project).order_by(events.c.id.desc()).limit(limit)
    )
    return [
        Event(
            time=row.time,
            severity=EventSeverity(row.severity),
            reason=row.reason,
            message=row.message,
            about=row.about,
            revision=row.revision,
        )
        for row in rows
    ]
