"""The journal: recorded facts, newest last."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, insert, select

from controller.model.status import Event, EventSeverity
from controller.store.schema import events, unindexed
from controller.store.store import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events are asked for; `before` is the number of the last one that is known."""

    limit: int
    before: int | None = None
    about: str | None = None
    severity: EventSeverity | None = None


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


def page(tx: Transaction, wanted: EventFilter) -> list[tuple[int, Event]]:
    """These events with their numbers, newest first. A number never changes: what comes meanwhile moves nothing."""
    asked = _about(tx, wanted.about)
    if wanted.before is not None:
        asked.append(events.c.id < wanted.before)
    if wanted.severity is not None:
        asked.append(events.c.severity == wanted.severity.value)
    rows = tx.connection.execute(select(events).where(*asked).order_by(events.c.id.desc()).limit(wanted.limit))
    return [(row.id, _from_row(row)) for row in rows]


def latest(tx: Transaction, limit: int, *, about: str | None = None) -> list[Event]:
    """The newest `limit` events, of all or about one thing, newest first."""
    return [event for _, event in page(tx, EventFilter(limit=limit, about=about))]


def after(tx: Transaction, last: int, *, about: str | None = None, limit: int | None = None) -> list[tuple[int, Event]]:
    """The first `limit` events after the one of this number, with their numbers, oldest first."""
    query = select(events).where(*_about(tx, about), events.c.id > last).order_by(events.c.id).limit(limit)
    return [(row.id, _from_row(row)) for row in tx.connection.execute(query)]


def last_number(tx: Transaction) -> int:
    """The number of the newest event; 0 before the first."""
    query = select(events.c.id).where(*_about(tx, None)).order_by(events.c.id.desc()).limit(1)
    return tx.connection.execute(query).scalar() or 0


def _about(tx: Transaction, about: str | None) -> list[ColumnElement[bool]]:
    if about is None:
        return [unindexed(events.c.project) == tx.project]
    return [events.c.project == tx.project, events.c.about == about]


def _from_row(row: Row[Any]) -> Event:
    return Event(
        time=row.time,
        severity=EventSeverity(row.severity),
        reason=row.reason,
        message=row.message,
        about=row.about,
        revision=row.revision,
    )
