"""The table of active deployments, one row per deployment. Rows of deleted ones stay as tombstones for a time."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Text,
    bindparam,
    cast,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from controller.model.shared_values import share
from controller.model.status import InventoryEntry
from controller.model.stored_documents import StoredDocument, plain_document
from controller.store import incidents, json_columns
from controller.store.batches import batches, groups
from controller.store.inventory_changes import delete_old_names, last_change, record_old_name
from controller.store.notification_tables import deadlines, heartbeats, messages
from controller.store.prepared import Prepared, listed
from controller.store.rows import from_row, to_row
from controller.store.schema import backfills, events, holds, inventory, occurrences, runs
from controller.store.sql_functions import elements, json_kind
from controller.store.store import Transaction
from controller.store.trigger_tables import finished_upstreams, gates, releases, seen_files, watch_problems

TOMBSTONES = timedelta(days=30)
"""How long a deleted deployment can be restored."""
_BATCH = 500
_IS_LISTED = (inventory.c.project == bindparam("of_project"), inventory.c.name.in_(listed("names")))
_COMPACT = (
    *(column for column in inventory.c if column is not inventory.c.document),
    cast(inventory.c.document, Text).label("document"),
)
_FIND_MANY = Prepared(select(*_COMPACT).where(*_IS_LISTED, inventory.c.removed_at.is_(None)))
_FIND_TAGS = Prepared(select(inventory.c.name, inventory.c.document["tags"].label("tags")).where(*_IS_LISTED))
_FIND_SUSPENDED = Prepared(
    select(inventory.c.name, json_kind(inventory.c.document, "suspend").label("suspend")).where(
        *_IS_LISTED, inventory.c.removed_at.is_(None)
    )
)
_FURTHEST_CURSOR = Prepared(
    select(func.max(inventory.c.cursor).label("cursor")).where(
        inventory.c.project == bindparam("of_project"), inventory.c.removed_at.is_(None)
    )
)
_FIND_EXPIRED_HOLDS = Prepared(
    select(holds.c.deployment, holds.c.until).where(
        holds.c.project == bindparam("of_project"), holds.c.until <= bindparam("now")
    )
)
_DELETE = Prepared(
    delete(inventory).where(inventory.c.project == bindparam("of_project"), inventory.c.name.in_(listed("names")))
)
_INSERT = Prepared(
    insert(inventory).values(
        {column.name: bindparam(column.name) for column in inventory.columns if column is not inventory.c.removed_at}
    )
)
_ADVANCE = Prepared(
    update(inventory)
    .where(*_IS_LISTED, inventory.c.cursor < bindparam("new_cursor"))
    .values(cursor=bindparam("new_cursor"))
)


def entries(tx: Transaction) -> dict[str, InventoryEntry]:
    """Return the entries of all active deployments by name, sorted by name."""
    rows = tx.connection.execute(
        select(inventory)
        .where(inventory.c.project == tx.project, inventory.c.removed_at.is_(None))
        .order_by(inventory.c.name)
    )
    return {row.name: _from_row(row) for row in rows}


def compact_entries(tx: Transaction, names: Collection[str] | None = None) -> dict[str, InventoryEntry]:
    """Return `entries`, with documents as text, which takes less memory. With `names`, only these deployments."""
    query = select(*_COMPACT).where(inventory.c.project == tx.project, inventory.c.removed_at.is_(None))
    if names is not None:
        query = query.where(inventory.c.name.in_(select(elements(list(names)).c.value)))
    rows = tx.connection.execute(query.order_by(inventory.c.name))
    return {row.name: _from_compact_row(row) for row in rows}


def find_many(tx: Transaction, names: Collection[str]) -> Iterator[InventoryEntry]:
    """Yield the entries of the active deployments with these names, with documents as text."""
    yield from map(_from_compact_row, _FIND_MANY.fetch(tx, of_project=tx.project, names=sorted(names)))


def find(tx: Transaction, name: str) -> InventoryEntry | None:
    """Return the entry of an active deployment, or None."""
    row = tx.connection.execute(
        select(inventory).where(
            inventory.c.project == tx.project, inventory.c.name == name, inventory.c.removed_at.is_(None)
        )
    ).first()
    return None if row is None else _from_row(row)


def tags(tx: Transaction, names: Collection[str]) -> dict[str, list[str]]:
    """Return the declared tags of the deployments with these names, also of deleted ones."""
    rows = _FIND_TAGS.fetch(tx, of_project=tx.project, names=sorted(names)) if names else ()
    return {row.name: [str(tag) for tag in row.tags or ()] for row in rows}


def find_removed(tx: Transaction, name: str) -> InventoryEntry | None:
    """Return the tombstone of a deleted deployment, with its last entry, or None."""
    row = tx.connection.execute(
        select(inventory).where(
            inventory.c.project == tx.project, inventory.c.name == name, inventory.c.removed_at.is_not(None)
        )
    ).first()
    return None if row is None else _from_row(row)


def removal_time(tx: Transaction, name: str) -> datetime | None:
    """Return when this deployment was deleted; None if it was not, or if its tombstone has expired."""
    is_named = (inventory.c.project == tx.project, inventory.c.name == name)
    instant: datetime | None = tx.connection.execute(select(inventory.c.removed_at).where(*is_named)).scalar()
    return instant


def tombstone_names(tx: Transaction) -> list[str]:
    """Return the names of all tombstones, sorted."""
    query = select(inventory.c.name).where(inventory.c.project == tx.project, inventory.c.removed_at.is_not(None))
    return list(tx.connection.execute(query.order_by(inventory.c.name)).scalars())


def delete_removed(tx: Transaction, before: datetime) -> None:
    """Delete the tombstones of deployments that were deleted before this instant, and the old names.

    The number of the last change stays recorded, so that it is never used again. Recent old names stay too.
    """
    is_old = (inventory.c.project == tx.project, inventory.c.removed_at < before)
    newest = select(inventory.c.name, inventory.c.change).where(*is_old).order_by(inventory.c.change.desc()).limit(1)
    for row in tx.connection.execute(newest).all():
        record_old_name(tx, row.name, row.change)
    tx.connection.execute(delete(inventory).where(*is_old))
    delete_old_names(tx)


def rename(tx: Transaction, old: str, new: str) -> None:
    """Rename an active deployment, including its history: runs, due times, backfills, events, messages and its hold.

    Due times that are already recorded under the new name keep that record.
    """
    change = last_change(tx) + 1
    tx.connection.execute(delete(inventory).where(inventory.c.project == tx.project, inventory.c.name == new))
    is_old = (inventory.c.project == tx.project, inventory.c.name == old)
    tx.connection.execute(update(inventory).where(*is_old).values(name=new, change=change))
    record_old_name(tx, old, change)
    old_hold = holds.alias()
    has_old_hold = exists().where(old_hold.c.project == tx.project, old_hold.c.deployment == old)
    tx.connection.execute(delete(holds).where(holds.c.project == tx.project, holds.c.deployment == new, has_old_hold))
    tx.connection.execute(delete(deadlines).where(deadlines.c.project == tx.project, deadlines.c.deployment == new))
    for table in (seen_files, watch_problems):
        tx.connection.execute(delete(table).where(table.c.project == tx.project, table.c.deployment == new))
    incidents.rename(tx, old, new)
    is_new = or_(releases.c.deployment == new, releases.c.upstream == new)
    tx.connection.execute(delete(releases).where(releases.c.project == tx.project, is_new))
    _remove_conflicts(tx, old, new)
    existing = occurrences.alias()
    is_recorded = exists().where(
        existing.c.project == tx.project,
        existing.c.deployment == new,
        existing.c.scheduled_for == occurrences.c.scheduled_for,
    )
    for table, column, conditions in (
        (runs, runs.c.deployment, ()),
        (occurrences, occurrences.c.deployment, (~is_recorded,)),
        (events, events.c.about, ()),
        (holds, holds.c.deployment, ()),
        (backfills, backfills.c.deployment, ()),
        (events, events.c.deployment, ()),
        (messages, messages.c.deployment, ()),
        (heartbeats, heartbeats.c.deployment, ()),
        (deadlines, deadlines.c.deployment, ()),
        (seen_files, seen_files.c.deployment, ()),
        (watch_problems, watch_problems.c.deployment, ()),
        (gates, gates.c.upstream, ()),
        (finished_upstreams, finished_upstreams.c.deployment, ()),
        (releases, releases.c.deployment, ()),
        (releases, releases.c.upstream, ()),
    ):
        statement = update(table).where(table.c.project == tx.project, column == old, *conditions)
        tx.connection.execute(statement.values({column: new}))


def _remove_conflicts(tx: Transaction, old: str, new: str) -> None:
    """Remove what an earlier deployment with the new name has left behind that must be unique.

    Its runs lose the idempotency keys that runs of the renamed one also have. A run that waits for both names waits for
    the renamed one.
    """
    renamed_runs, renamed_gates = runs.alias(), gates.alias()
    keys = select(renamed_runs.c.idempotency_key).where(
        renamed_runs.c.project == tx.project,
        renamed_runs.c.deployment == old,
        renamed_runs.c.idempotency_key.is_not(None),
    )
    is_same_key = (runs.c.project == tx.project, runs.c.deployment == new, runs.c.idempotency_key.in_(keys))
    tx.connection.execute(update(runs).where(*is_same_key).values(idempotency_key=None))
    waiting = select(renamed_gates.c.run_id).where(
        renamed_gates.c.project == tx.project, renamed_gates.c.upstream == old
    )
    is_second = (gates.c.project == tx.project, gates.c.upstream == new, gates.c.run_id.in_(waiting))
    tx.connection.execute(delete(gates).where(*is_second))


def digests_with_key(tx: Transaction, key: str, names: Collection[str] | None = None) -> dict[str, str]:
    """Return the spec digests of the active deployments whose documents have this key, by name.

    With `names`, only of these deployments.
    """
    query = select(inventory.c.name, inventory.c.spec_digest).where(*_has_key(tx, key))
    if names is None:
        return {row.name: row.spec_digest for row in tx.connection.execute(query)}
    found = [tx.connection.execute(query.where(inventory.c.name.in_(group))) for group in batches(names)]
    return {row.name: row.spec_digest for rows in found for row in rows}


def entries_with_key(tx: Transaction, key: str) -> list[InventoryEntry]:
    """Return the entries of the active deployments whose documents have this key, sorted by name."""
    rows = tx.connection.execute(select(inventory).where(*_has_key(tx, key)).order_by(inventory.c.name))
    return [_from_row(row) for row in rows]


def find_active(tx: Transaction, names: Collection[str]) -> set[str]:
    """Return those of these names that have an active deployment."""
    in_order = sorted(names)
    active: set[str] = set()
    for start in range(0, len(in_order), _BATCH):
        is_named = (inventory.c.project == tx.project, inventory.c.name.in_(in_order[start : start + _BATCH]))
        query = select(inventory.c.name).where(*is_named, inventory.c.removed_at.is_(None))
        active.update(tx.connection.execute(query).scalars())
    return active


def find_suspended(tx: Transaction, names: Collection[str]) -> dict[str, bool]:
    """Return for those of these names that have an active deployment whether it is suspended."""
    rows = _FIND_SUSPENDED.fetch(tx, of_project=tx.project, names=list(names))
    return {row.name: row.suspend == "true" for row in rows}


def has_history(tx: Transaction, name: str) -> bool:
    """Return whether this name has an active deployment, a tombstone or a run."""
    in_inventory = exists().where(inventory.c.project == tx.project, inventory.c.name == name)
    in_runs = exists().where(runs.c.project == tx.project, runs.c.deployment == name)
    return bool(tx.connection.execute(select(in_inventory | in_runs)).scalar())


def save(tx: Transaction, new: Iterable[InventoryEntry]) -> None:
    """Save complete entries. They replace existing entries and tombstones of the same names."""
    change = last_change(tx) + 1
    for group in groups(new):
        _DELETE.run(tx, of_project=tx.project, names=[entry.name for entry in group])
        _INSERT.execute(tx, [{**_to_row(tx, entry), "change": change} for entry in group])


def update_keeping_cursor(tx: Transaction, entries: Iterable[InventoryEntry]) -> None:
    """Save entries except for their cursors, for deployments whose schedules did not change."""
    change = last_change(tx) + 1
    for entry in entries:
        row = {**_to_row(tx, entry), "change": change}
        changes = {key: value for key, value in row.items() if key not in ("project", "name", "cursor")}
        tx.connection.execute(
            update(inventory).where(inventory.c.project == tx.project, inventory.c.name == entry.name).values(**changes)
        )


def remove(
    tx: Transaction, names: Iterable[str], at: datetime, changed_in: Mapping[str, str | None] | None = None
) -> None:
    """Turn the entries of these names into tombstones, and delete their holds.

    `changed_in` has the commits that removed the documents, by name, as far as they are known.
    """
    change = last_change(tx) + 1
    for name in names:
        values = {"removed_at": at, "changed_in": (changed_in or {}).get(name), "change": change}
        is_named = (inventory.c.project == tx.project, inventory.c.name == name)
        tx.connection.execute(update(inventory).where(*is_named).values(**values))
        tx.connection.execute(delete(holds).where(holds.c.project == tx.project, holds.c.deployment == name))


def fill_changed_in(tx: Transaction, changed_in: Mapping[str, str | None]) -> None:
    """Record the commits of active deployments that have none yet, by name."""
    for name, sha in changed_in.items():
        is_named = (inventory.c.project == tx.project, inventory.c.name == name, inventory.c.changed_in.is_(None))
        tx.connection.execute(update(inventory).where(*is_named).values(changed_in=sha))


def advance_cursors(tx: Transaction, names: Iterable[str], cursor: datetime) -> None:
    """Record that the due times of these deployments are accounted for up to `cursor`. No cursor moves back here."""
    _ADVANCE.run(tx, of_project=tx.project, names=list(names), new_cursor=cursor)


def furthest_cursor(tx: Transaction) -> datetime | None:
    """Return the latest cursor of all active deployments; None if there are none."""
    [row] = _FURTHEST_CURSOR.fetch(tx, of_project=tx.project)
    cursor: datetime | None = row.cursor
    return cursor


def cursors(tx: Transaction) -> dict[str, datetime]:
    """Return the cursors of all active deployments by name, latest first, so those that fire often come first."""
    query = select(inventory.c.name, inventory.c.cursor).where(
        inventory.c.project == tx.project, inventory.c.removed_at.is_(None)
    )
    rows = tx.connection.execute(query.order_by(inventory.c.cursor.desc(), inventory.c.name))
    return {row.name: row.cursor for row in rows}


def with_expired_hold(tx: Transaction, now: datetime) -> list[str]:
    """Return the active deployments whose hold has expired and whose cursor is before its end."""
    expired = {row.deployment: row.until for row in _FIND_EXPIRED_HOLDS.fetch(tx, of_project=tx.project, now=now)}
    return [entry.name for entry in find_many(tx, expired) if entry.cursor < expired[entry.name]] if expired else []


def rewind_cursors(tx: Transaction, now: datetime, since: datetime) -> None:
    """Move cursors that are after `now` back to `since`. Recorded due times keep anything from firing twice."""
    tx.connection.execute(
        update(inventory)
        .where(inventory.c.project == tx.project, inventory.c.removed_at.is_(None), inventory.c.cursor > now)
        .values(cursor=since)
    )


def _has_key(tx: Transaction, key: str) -> tuple[ColumnElement[bool], ...]:
    has_key = json_kind(inventory.c.document, key).is_not(None)
    return (inventory.c.project == tx.project, inventory.c.removed_at.is_(None), has_key)


def _to_row(tx: Transaction, entry: InventoryEntry) -> dict[str, Any]:
    conditions = json_columns.to_json(entry.conditions)
    return to_row(tx, inventory, entry, document=plain_document(entry.document), conditions=conditions)


def _from_row(row: Any, **converted: Any) -> InventoryEntry:
    shared = {"revision": share(row.revision), "changed_in": share(row.changed_in)}
    return from_row(InventoryEntry, row, conditions=json_columns.from_json(row.conditions), **shared, **converted)


def _from_compact_row(row: Any) -> InventoryEntry:
    return _from_row(row, document=StoredDocument(row.document))
