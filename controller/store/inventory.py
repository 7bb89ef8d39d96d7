"""What is in force: one row a deployment. Rows of deployments that left the repository stay as tombstones."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, delete, insert, select, update

from controller.model.status import Condition, InventoryEntry
from controller.store import conditions
from controller.store.schema import inventory
from controller.store.store import Transaction


def entries(tx: Transaction) -> dict[str, InventoryEntry]:
    """Everything in force, by name, in the order of the names."""
    rows = tx.connection.execute(
        select(inventory)
        .where(inventory.c.project == tx.project, inventory.c.removed_at.is_(None))
        .order_by(inventory.c.name)
    )
    return {row.name: _from_row(row) for row in rows}


def find(tx: Transaction, name: str) -> InventoryEntry | None:
    """What is in force under this name."""
    row = tx.connection.execute(
        select(inventory).where(
            inventory.c.project == tx.project, inventory.c.name == name, inventory.c.removed_at.is_(None)
        )
    ).first()
    return None if row is None else _from_row(row)


def put(tx: Transaction, new: Iterable[InventoryEntry]) -> None:
    """Write these entries whole; a tombstone of the same name goes."""
    rows = [_to_row(tx, entry) for entry in new]
    if rows:
        gone = delete(inventory).where(inventory.c.project == tx.project, inventory.c.name == bindparam("removed_name"))
        tx.connection.execute(gone, [{"removed_name": row["name"]} for row in rows])
        tx.connection.execute(insert(inventory), rows)


def revise(tx: Transaction, entries: Iterable[InventoryEntry]) -> None:
    """Write these entries but for the cursor: their schedules say what they said."""
    for entry in entries:
        row = _to_row(tx, entry)
        changes = {key: value for key, value in row.items() if key not in ("project", "name", "cursor")}
        tx.connection.execute(
            update(inventory).where(inventory.c.project == tx.project, inventory.c.name == entry.name).values(**changes)
        )


def remove(tx: Transaction, names: Iterable[str], at: datetime) -> None:
    """Leave tombstones for these names."""
    for name in names:
        tx.connection.execute(
            update(inventory).where(inventory.c.project == tx.project, inventory.c.name == name).values(removed_at=at)
        )


def mark(tx: Transaction, name: str, *, pinned: str | None, status: Iterable[Condition]) -> None:
    """Say whether git and this entry agree, without touching what is in force."""
    tx.connection.execute(
        update(inventory)
        .where(inventory.c.project == tx.project, inventory.c.name == name)
        .values(pinned=pinned, conditions=conditions.to_json(status))
    )


def advance(tx: Transaction, name: str, cursor: datetime) -> None:
    """Account for this deployment's due times up to `cursor`; never moves back."""
    tx.connection.execute(
        update(inventory)
        .where(inventory.c.project == tx.project, inventory.c.name == name, inventory.c.cursor < cursor)
        .values(cursor=cursor)
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
        "conditions": conditions.to_json(entry.conditions),
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
        conditions=conditions.from_json(row.conditions),
    )
