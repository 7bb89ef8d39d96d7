"""What is in force: one row a deployment. Rows of deployments that left the repository stay as tombstones."""

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Text, bindparam, delete, exists, func, insert, select, type_coerce, update

from controller.model.status import Condition, InventoryEntry
from controller.store import json_columns
from controller.store.schema import events, holds, inventory, occurrences, runs
from controller.store.store import Transaction

_AT_ONCE = 500


def entries(tx: Transaction) -> dict[str, InventoryEntry]:
    """Everything in force, by name, in the order of the names."""
    rows = tx.connection.execute(
        select(inventory)
        .where(inventory.c.project == tx.project, inventory.c.removed_at.is_(None))
        .order_by(inventory.c.name)
    )
    return {row.name: _from_row(row) for row in rows}


def entry_hashes(tx: Transaction) -> dict[str, int]:
    """For everything in force a value that is another one when its entry was changed; cheaper than the entries."""
    told = (
        inventory.c.file,
        inventory.c.line,
        inventory.c.spec_digest,
        inventory.c.generation,
        inventory.c.revision,
        inventory.c.pinned,
        type_coerce(inventory.c.conditions, Text),
    )
    in_force = (inventory.c.project == tx.project, inventory.c.removed_at.is_(None))
    return {
        row[0]: hash(tuple(row[1:])) for row in tx.connection.execute(select(inventory.c.name, *told).where(*in_force))
    }


def find_many(tx: Transaction, names: Collection[str]) -> Iterator[InventoryEntry]:
    """What is in force under these names."""
    left = sorted(names)
    for start in range(0, len(left), _AT_ONCE):
        mine = (inventory.c.project == tx.project, inventory.c.name.in_(left[start : start + _AT_ONCE]))
        yield from map(
            _from_row, tx.connection.execute(select(inventory).where(*mine, inventory.c.removed_at.is_(None)))
        )


def find(tx: Transaction, name: str) -> InventoryEntry | None:
    """What is in force under this name."""
    row = tx.connection.execute(
        select(inventory).where(
            inventory.c.project == tx.project, inventory.c.name == name, inventory.c.removed_at.is_(None)
        )
    ).first()
    return None if row is None else _from_row(row)


def find_removed(tx: Transaction, name: str) -> InventoryEntry | None:
    """The tombstone of this name: what was in force until it left the repository."""
    row = tx.connection.execute(
        select(inventory).where(
            inventory.c.project == tx.project, inventory.c.name == name, inventory.c.removed_at.is_not(None)
        )
    ).first()
    return None if row is None else _from_row(row)


def removed_at(tx: Transaction, name: str) -> datetime | None:
    """When what was in force under this name left the repository; None if it has not, or that is forgotten."""
    mine = (inventory.c.project == tx.project, inventory.c.name == name)
    found: datetime | None = tx.connection.execute(select(inventory.c.removed_at).where(*mine)).scalar()
    return found


def removed_names(tx: Transaction) -> list[str]:
    """The names that have a tombstone."""
    query = select(inventory.c.name).where(inventory.c.project == tx.project, inventory.c.removed_at.is_not(None))
    return list(tx.connection.execute(query.order_by(inventory.c.name)).scalars())


def delete_removed(tx: Transaction, before: datetime) -> None:
    """Drop the tombstones of what was removed before this instant."""
    tx.connection.execute(delete(inventory).where(inventory.c.project == tx.project, inventory.c.removed_at < before))


def rename(tx: Transaction, old: str, new: str) -> None:
    """Give a deployment in force another name, and with it its history: runs, due times, events, its hold."""
    tx.connection.execute(delete(inventory).where(inventory.c.project == tx.project, inventory.c.name == new))
    tx.connection.execute(
        update(inventory).where(inventory.c.project == tx.project, inventory.c.name == old).values(name=new)
    )
    moved = holds.alias()
    is_moved = exists().where(moved.c.project == tx.project, moved.c.deployment == old)
    tx.connection.execute(delete(holds).where(holds.c.project == tx.project, holds.c.deployment == new, is_moved))
    taken = occurrences.alias()
    is_taken = exists().where(
        taken.c.project == tx.project,
        taken.c.deployment == new,
        taken.c.scheduled_for == occurrences.c.scheduled_for,
    )
    for table, column, others in (
        (runs, runs.c.deployment, ()),
        (occurrences, occurrences.c.deployment, (~is_taken,)),
        (events, events.c.about, ()),
        (holds, holds.c.deployment, ()),
    ):
        changed = update(table).where(table.c.project == tx.project, column == old, *others)
        tx.connection.execute(changed.values({column: new}))


def has_history(tx: Transaction, name: str) -> bool:
    """Whether anything is recorded under this name: in force, a tombstone, or a run."""
    in_inventory = exists().where(inventory.c.project == tx.project, inventory.c.name == name)
    in_runs = exists().where(runs.c.project == tx.project, runs.c.deployment == name)
    return bool(tx.connection.execute(select(in_inventory | in_runs)).scalar())


def save(tx: Transaction, new: Iterable[InventoryEntry]) -> None:
    """Write these entries whole; a tombstone of the same name goes."""
    rows = [_to_row(tx, entry) for entry in new]
    if rows:
        gone = delete(inventory).where(inventory.c.project == tx.project, inventory.c.name == bindparam("removed_name"))
        tx.connection.execute(gone, [{"removed_name": row["name"]} for row in rows])
        tx.connection.execute(insert(inventory), rows)


def update_keeping_cursor(tx: Transaction, entries: Iterable[InventoryEntry]) -> None:
    """Write these entries but for the cursor: their schedules say what they said."""
    for entry in entries:
        row = _to_row(tx, entry)
        changes = {key: value for key, value in row.items() if key not in ("project", "name", "cursor")}
        tx.connection.execute(
            update(inventory).where(inventory.c.project == tx.project, inventory.c.name == entry.name).values(**changes)
        )


def remove(tx: Transaction, names: Iterable[str], at: datetime) -> None:
    """Leave tombstones for these names; their holds go."""
    for name in names:
        tx.connection.execute(
            update(inventory).where(inventory.c.project == tx.project, inventory.c.name == name).values(removed_at=at)
        )
        tx.connection.execute(delete(holds).where(holds.c.project == tx.project, holds.c.deployment == name))


def save_conditions(tx: Transaction, name: str, *, pinned: str | None, status: Iterable[Condition]) -> None:
    """Say whether git and this entry agree, without touching what is in force."""
    tx.connection.execute(
        update(inventory)
        .where(inventory.c.project == tx.project, inventory.c.name == name)
        .values(pinned=pinned, conditions=json_columns.to_json(status))
    )


def advance_cursor(tx: Transaction, name: str, cursor: datetime) -> None:
    """Account for this deployment's due times up to `cursor`; never moves back."""
    tx.connection.execute(
        update(inventory)
        .where(inventory.c.project == tx.project, inventory.c.name == name, inventory.c.cursor < cursor)
        .values(cursor=cursor)
    )


def furthest_cursor(tx: Transaction) -> datetime | None:
    """The latest instant up to which any deployment in force is accounted for; None if there is none."""
    in_force = (inventory.c.project == tx.project, inventory.c.removed_at.is_(None))
    found: datetime | None = tx.connection.execute(select(func.max(inventory.c.cursor)).where(*in_force)).scalar()
    return found


def cursors(tx: Transaction) -> dict[str, datetime]:
    """By name up to when each deployment in force is accounted for, the latest first: what fires often is in front."""
    query = select(inventory.c.name, inventory.c.cursor).where(
        inventory.c.project == tx.project, inventory.c.removed_at.is_(None)
    )
    rows = tx.connection.execute(query.order_by(inventory.c.cursor.desc(), inventory.c.name))
    return {row.name: row.cursor for row in rows}


def with_expired_hold(tx: Transaction, now: datetime) -> list[str]:
    """The deployments whose hold has expired and that have not been accounted for since."""
    query = select(inventory.c.name).join(
        holds, (holds.c.project == inventory.c.project) & (holds.c.deployment == inventory.c.name)
    )
    is_released = (inventory.c.project == tx.project, inventory.c.removed_at.is_(None), holds.c.until <= now)
    return list(tx.connection.execute(query.where(*is_released, inventory.c.cursor < holds.c.until)).scalars())


def rewind_cursors(tx: Transaction, now: datetime, since: datetime) -> None:
    """Let the deployments that are accounted for past `now` count from `since`. The ledger knows what was due."""
    tx.connection.execute(
        update(inventory)
        .where(inventory.c.project == tx.project, inventory.c.removed_at.is_(None), inventory.c.cursor > now)
        .values(cursor=since)
    )


def _to_row(tx: Transaction, entry: InventoryEntry) -> dict[str, Any]:
    return {
        "project": tx.project,
        "name": entry.name,
        "file": entry.file,
        "line": entry.line,
        "document": dict(entry.document),
        "spec_digest": entry.spec_digest,
        "revision": entry.revision,
        "pinned": entry.pinned,
        "cursor": entry.cursor,
        "conditions": json_columns.to_json(entry.conditions),
        "generation": entry.generation,
    }


def _from_row(row: Row[Any]) -> InventoryEntry:
    return InventoryEntry(
        name=row.name,
        file=row.file,
        line=row.line,
        document=row.document,
        spec_digest=row.spec_digest,
        revision=row.revision,
        pinned=row.pinned,
        cursor=row.cursor,
        conditions=json_columns.from_json(row.conditions),
        generation=row.generation,
    )
