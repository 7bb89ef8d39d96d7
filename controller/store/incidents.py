"""The tables of incidents, of the deployments that they affect, and of what was announced to which channel."""

from collections.abc import Collection, Iterable
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, delete, func, insert, select, update

from controller.model.notifications import Announcement, Incident, IncidentMember, Trouble
from controller.store.notification_tables import announcements, incident_members, incidents, notifier
from controller.store.rows import from_row, to_row
from controller.store.sql_functions import upsert
from controller.store.store import Transaction

_OF_INCIDENT = ("key", "trouble", "cause", "opened_at", "closed_at")


def find_cursor(tx: Transaction) -> int | None:
    """Return the number of the last event that was evaluated; None before the first evaluation."""
    query = select(notifier.c.event_id).where(notifier.c.project == tx.project)
    return tx.connection.execute(query).scalar()


def save_cursor(tx: Transaction, event_id: int) -> None:
    """Record that all events up to this number were evaluated."""
    row = {"project": tx.project, "event_id": event_id}
    statement = upsert(notifier).values(row)
    tx.connection.execute(statement.on_conflict_do_update(index_elements=["project"], set_={"event_id": event_id}))


def find_open(tx: Transaction) -> list[Incident]:
    """Return the open incidents, oldest first."""
    query = select(incidents).where(incidents.c.project == tx.project, incidents.c.closed_at.is_(None))
    return [_incident(row) for row in tx.connection.execute(query.order_by(incidents.c.id))]


def find_openings(
    tx: Transaction, *, since: datetime, keys: Collection[str], subjects: Collection[str]
) -> list[tuple[Incident, str, Announcement]]:
    """Return the announcements of incidents that were closed after `since`, with these keys or with these members.

    Each comes with its incident and with the subject of a member.
    """
    of_key = incidents.c.key.in_(sorted(keys))
    is_listed = of_key | incident_members.c.subject.in_(sorted(subjects))
    query = select(announcements, incidents.c.id.label("id"), incident_members.c.subject)
    query = query.join_from(incidents, incident_members).join(
        announcements, announcements.c.incident_id == incidents.c.id
    )
    query = query.where(incidents.c.project == tx.project, incidents.c.closed_at > since, is_listed)
    rows = tx.connection.execute(query.add_columns(*(incidents.c[name] for name in _OF_INCIDENT))).all()
    return [(_incident(row), row.subject, _announcement(row)) for row in rows]


def find_members(tx: Transaction, incident_ids: Collection[int]) -> dict[int, list[IncidentMember]]:
    """Return the members of these incidents, by the incident's id, in the order of `since`."""
    members: dict[int, list[IncidentMember]] = {number: [] for number in incident_ids}
    query = select(incident_members).where(incident_members.c.incident_id.in_(sorted(incident_ids)))
    order = (incident_members.c.since, incident_members.c.subject)
    for row in tx.connection.execute(query.order_by(*order)) if members else ():
        members[row.incident_id].append(from_row(IncidentMember, row, trouble=Trouble(row.trouble)))
    return members


def find_first_members(tx: Transaction, incident_id: int, limit: int) -> list[IncidentMember]:
    """Return up to `limit` members of this incident: open ones first, in the order of `since`."""
    order = (incident_members.c.closed_at.is_not(None), incident_members.c.since, incident_members.c.subject)
    query = select(incident_members).where(incident_members.c.incident_id == incident_id).order_by(*order).limit(limit)
    return [from_row(IncidentMember, row, trouble=Trouble(row.trouble)) for row in tx.connection.execute(query)]


def count_members(tx: Transaction, incident_ids: Collection[int]) -> dict[int, int]:
    """Return the number of members of each of these incidents."""
    query = select(incident_members.c.incident_id, func.count()).where(
        incident_members.c.incident_id.in_(sorted(incident_ids))
    )
    rows = tx.connection.execute(query.group_by(incident_members.c.incident_id)) if incident_ids else ()
    return dict.fromkeys(incident_ids, 0) | {row[0]: row[1] for row in rows}


def page(tx: Transaction, limit: int, *, before: int | None = None, is_open: bool = False) -> list[Incident]:
    """Return the newest incidents, newest first, only those with ids below `before` if given."""
    conditions = [incidents.c.project == tx.project]
    if before is not None:
        conditions.append(incidents.c.id < before)
    if is_open:
        conditions.append(incidents.c.closed_at.is_(None))
    rows = tx.connection.execute(select(incidents).where(*conditions).order_by(incidents.c.id.desc()).limit(limit))
    return [_incident(row) for row in rows]


def find_announcements(tx: Transaction, incident_ids: Collection[int]) -> list[Announcement]:
    """Return the announcements of these incidents."""
    query = select(announcements).where(announcements.c.incident_id.in_(sorted(incident_ids)))
    rows = tx.connection.execute(query.order_by(announcements.c.incident_id, announcements.c.channel))
    return [_announcement(row) for row in rows] if incident_ids else []


def add(tx: Transaction, incident: Incident) -> Incident:
    """Record a new incident. Return it with its id; that of the argument is ignored."""
    row = to_row(tx, incidents, incident)
    del row["id"]
    number = tx.connection.execute(insert(incidents).values(row)).inserted_primary_key
    assert number is not None
    return Incident(**{**_values(incident), "id": number[0]})


def close(tx: Transaction, incident_id: int, at: datetime) -> None:
    """Record that all members of this incident have recovered."""
    tx.connection.execute(update(incidents).where(incidents.c.id == incident_id).values(closed_at=at))


def save_members(tx: Transaction, members: Iterable[IncidentMember]) -> None:
    """Save members; each replaces the same subject's record in the same incident."""
    rows = [_values(member) for member in members]
    if rows:
        statement = upsert(incident_members)
        changed = {name: statement.excluded[name] for name in rows[0] if name not in ("incident_id", "subject")}
        tx.connection.execute(
            statement.on_conflict_do_update(index_elements=["incident_id", "subject"], set_=changed), rows
        )


def save_announcements(tx: Transaction, new: Iterable[Announcement]) -> None:
    """Save announcements; each replaces the record of the same incident and channel."""
    rows = [
        {
            **_values(announcement),
            "subjects": list(announcement.subjects),
            "openings": [opening.isoformat() for opening in announcement.openings],
        }
        for announcement in new
    ]
    if rows:
        statement = upsert(announcements)
        changed = {name: statement.excluded[name] for name in rows[0] if name not in ("incident_id", "channel")}
        tx.connection.execute(
            statement.on_conflict_do_update(index_elements=["incident_id", "channel"], set_=changed), rows
        )


def rename(tx: Transaction, old: str, new: str) -> None:
    """Rename a member of all incidents, and in what was announced. Earlier members with the new name are deleted."""
    of_project = select(incidents.c.id).where(incidents.c.project == tx.project)
    is_member = (incident_members.c.incident_id.in_(of_project), incident_members.c.subject == old)
    affected = list(tx.connection.execute(select(incident_members.c.incident_id).where(*is_member)).scalars())
    if affected:
        is_new = (incident_members.c.incident_id.in_(affected), incident_members.c.subject == new)
        tx.connection.execute(delete(incident_members).where(*is_new))
        tx.connection.execute(update(incident_members).where(*is_member).values(subject=new))
        announced = [each for each in find_announcements(tx, affected) if old in each.subjects]
        renamed = {each: tuple(sorted({*each.subjects, new} - {old})) for each in announced}
        save_announcements(tx, [replace(each, subjects=subjects) for each, subjects in renamed.items()])


def delete_old(tx: Transaction, *, before: datetime, limit: int) -> int:
    """Delete up to `limit` incidents that were closed before `before`. Return how many."""
    old = _old(tx, before).order_by(incidents.c.closed_at).limit(limit)
    return int(tx.connection.execute(delete(incidents).where(incidents.c.id.in_(old))).rowcount)


def has_old(tx: Transaction, *, before: datetime) -> bool:
    """Return whether `delete_old` deletes something."""
    return tx.connection.execute(_old(tx, before).limit(1)).first() is not None


def _old(tx: Transaction, before: datetime) -> Select[tuple[int]]:
    return select(incidents.c.id).where(incidents.c.project == tx.project, incidents.c.closed_at < before)


def _values(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _announcement(row: Row[Any]) -> Announcement:
    openings = tuple(datetime.fromisoformat(opening) for opening in row.openings)
    return from_row(Announcement, row, subjects=tuple(row.subjects), openings=openings)


def _incident(row: Row[Any]) -> Incident:
    return from_row(Incident, row, trouble=Trouble(row.trouble))
