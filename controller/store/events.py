"""The table of events. Numbers increase with time and never change."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Row, bindparam, exists, insert, select

from controller.model.status import Event, EventSeverity
from controller.records import dataclass
from controller.store import inventory
from controller.store.batches import groups
from controller.store.prepared import Prepared
from controller.store.rows import from_row, to_row
from controller.store.schema import events, source
from controller.store.sql_functions import elements, without_index
from controller.store.store import Transaction

_COMPUTED = ("id", "environment")
_ENVIRONMENT = select(source.c.environment).where(source.c.project == bindparam("of_project")).scalar_subquery()
_APPEND = Prepared(
    insert(events)
    .values({column.name: bindparam(column.name) for column in events.columns if column.name not in _COMPUTED})
    .values(environment=_ENVIRONMENT)
    .inline()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Criteria for a page of events: at most `limit`, with numbers between `after` and `before`, both exclusive.

    The others, if given: the subject, the severity, the run, a tag of the deployment, and the reason.
    """

    limit: int
    before: int | None = None
    after: int | None = None
    about: str | None = None
    severity: EventSeverity | None = None
    run_id: str | None = None
    tag: str | None = None
    reason: str | None = None


def append(tx: Transaction, new: Iterable[Event]) -> None:
    """Record events in this order, with the environment, and with the tags of their deployments if they have none."""
    for recorded in groups(new):
        _append(tx, recorded)


def _append(tx: Transaction, recorded: list[Event]) -> None:
    names = {event.deployment for event in recorded if event.deployment is not None and not event.tags}
    tags = inventory.tags(tx, names)
    rows = (
        to_row(tx, events, event, tags=list(event.tags or tags.get(event.deployment or "", ()))) for event in recorded
    )
    _APPEND.execute(tx, ({**row, "of_project": tx.project} for row in rows))


def page(tx: Transaction, criteria: EventFilter) -> list[tuple[int, Event]]:
    """Return the newest events that match, with their numbers, newest first."""
    query = select(events).where(*_conditions(tx, criteria)).order_by(events.c.id.desc()).limit(criteria.limit)
    return [(row.id, _from_row(row)) for row in tx.connection.execute(query)]


def first_page(tx: Transaction, criteria: EventFilter) -> list[tuple[int, Event]]:
    """Return the oldest events that match, with their numbers, oldest first."""
    query = select(events).where(*_conditions(tx, criteria)).order_by(events.c.id).limit(criteria.limit)
    return [(row.id, _from_row(row)) for row in tx.connection.execute(query)]


def after(tx: Transaction, last: int, *, limit: int) -> list[tuple[int, Event]]:
    """Return the first `limit` events with numbers above `last`, with their numbers, oldest first."""
    return first_page(tx, EventFilter(limit=limit, after=last))


def latest(tx: Transaction, limit: int, *, about: str | None = None) -> list[Event]:
    """Return the newest `limit` events, optionally about one subject, newest first."""
    return [event for _, event in page(tx, EventFilter(limit=limit, about=about))]


def first_number(tx: Transaction) -> int:
    """Return the number of the oldest event that is not deleted, or 0 if there is none."""
    query = select(events.c.id).where(*_about(tx, None)).order_by(events.c.id).limit(1)
    return tx.connection.execute(query).scalar() or 0


def find_message(tx: Transaction, run_id: str, reasons: Iterable[str]) -> str | None:
    """Return the message of the first event about this run that has one of these reasons; None if there is none."""
    is_event = (events.c.run_id == run_id, events.c.reason.in_(list(reasons)))
    query = select(events.c.message).where(without_index(events.c.project) == tx.project, *is_event)
    return tx.connection.execute(query.order_by(events.c.id).limit(1)).scalar()


def last_number(tx: Transaction) -> int:
    """Return the number of the newest event, or 0 if there is none."""
    query = select(events.c.id).where(*_about(tx, None)).order_by(events.c.id.desc()).limit(1)
    return tx.connection.execute(query).scalar() or 0


def _conditions(tx: Transaction, criteria: EventFilter) -> list[ColumnElement[bool]]:
    values = (
        (events.c.severity, None if criteria.severity is None else criteria.severity.value),
        (events.c.run_id, criteria.run_id),
        (events.c.reason, criteria.reason),
    )
    conditions = _about(tx, criteria.about) + [column == value for column, value in values if value is not None]
    if criteria.before is not None:
        conditions.append(events.c.id < criteria.before)
    if criteria.after is not None:
        conditions.append(events.c.id > criteria.after)
    if criteria.tag is not None:
        tag = elements(events.c.tags)
        conditions.append(exists(select(1).select_from(tag).where(tag.c.value == criteria.tag)))
    return conditions


def _about(tx: Transaction, about: str | None) -> list[ColumnElement[bool]]:
    if about is None:
        return [without_index(events.c.project) == tx.project]
    return [events.c.project == tx.project, events.c.about == about]


def _from_row(row: Row[Any]) -> Event:
    return from_row(Event, row, severity=EventSeverity(row.severity), tags=tuple(row.tags))
