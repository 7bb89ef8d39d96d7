"""Long lists in pages, newest first: events, due times. A page goes on where the one before it ended.

Each page asks for what lies before a key that never changes, so that rows which come meanwhile move nothing.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select

from controller.model.runs import Occurrence, Outcome, RunId
from controller.model.status import Event, EventSeverity
from controller.store.schema import events, occurrences
from controller.store.store import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsWanted:
    """Which events are asked for; `before` is the number of the last one that is known."""

    limit: int
    before: int | None = None
    about: str | None = None
    severity: EventSeverity | None = None


def events_page(tx: Transaction, wanted: EventsWanted) -> list[tuple[int, Event]]:
    """These events with their numbers, newest first."""
    asked = [events.c.project == tx.project]
    if wanted.before is not None:
        asked.append(events.c.id < wanted.before)
    if wanted.about is not None:
        asked.append(events.c.about == wanted.about)
    if wanted.severity is not None:
        asked.append(events.c.severity == wanted.severity.value)
    rows = tx.connection.execute(select(events).where(*asked).order_by(events.c.id.desc()).limit(wanted.limit))
    return [(row.id, _event(row)) for row in rows]


def events_after(tx: Transaction, last: int, limit: int) -> list[tuple[int, Event]]:
    """The first so many events after the one of this number, oldest first."""
    query = select(events).where(events.c.project == tx.project, events.c.id > last).order_by(events.c.id)
    return [(row.id, _event(row)) for row in tx.connection.execute(query.limit(limit))]


def occurrences_page(tx: Transaction, deployment: str, before: datetime | None, limit: int) -> list[Occurrence]:
    """Due times of a deployment and what became of them, newest first."""
    asked = [occurrences.c.project == tx.project, occurrences.c.deployment == deployment]
    if before is not None:
        asked.append(occurrences.c.scheduled_for < before)
    query = select(occurrences).where(*asked).order_by(occurrences.c.scheduled_for.desc()).limit(limit)
    return [
        Occurrence(
            deployment=row.deployment,
            scheduled_for=row.scheduled_for,
            schedule=row.schedule,
            outcome=Outcome(row.outcome),
            run_id=None if row.run_id is None else RunId(row.run_id),
            reason=row.reason,
        )
        for row in tx.connection.execute(query)
    ]


def _event(row: Row[Any]) -> Event:
    return Event(
        time=row.time,
        severity=EventSeverity(row.severity),
        reason=row.reason,
        message=row.message,
        about=row.about,
        revision=row.revision,
    )
