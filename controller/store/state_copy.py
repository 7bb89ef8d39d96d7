"""Copies a whole state to a new database, of the same or of the other kind. No controller may run meanwhile."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

from sqlalchemy import JSON, Column, Connection, Table, func, insert, select, text

from controller.errors import NoStateError, StateError
from controller.settings import PROJECT
from controller.state_url import StateUrl
from controller.store.database import Place
from controller.store.leadership_tables import attempt_reports, hosts, leadership, leases
from controller.store.schema import run_counts
from controller.store.store import Store
from controller.store.tables import copied_tables

_BATCH = 1000
_NOT_COPIED = frozenset({table.name for table in (run_counts, leadership, leases, hosts, attempt_reports)})
"""Triggers maintain the counts, and the leader and the standbys are those of one server."""


def copy_state(source: Place, target: Place) -> Mapping[str, int]:
    """Copy all rows in one transaction of the target, and return their numbers by table.

    Raises:
        AlreadyRunningError: a controller uses one of the databases on a server.
        NoStateError: there is no state at the source.
        StateError: there is a state at the target, or one of them can't be used.
    """
    with _unchanging(source) as reader:
        writer = Store.open(target)
        try:
            with reader.read() as from_tx, writer.write() as to_tx:
                return _copy(from_tx.connection, to_tx.connection, target)
        finally:
            writer.close()


@contextmanager
def _unchanging(place: Place) -> Iterator[Store]:
    """Open a state to read it, and let no controller write to a database on a server during the block.

    A term of its own also excludes a leader that is stopped now and continues later.
    """
    store = Store.open_existing(place)
    if store is None:
        raise NoStateError(f"There is no state at {place}.")
    leadership = None
    try:
        if isinstance(place, StateUrl):
            from controller.store.leadership import lead

            leadership = lead(place, PROJECT)
            leadership.begin()
        yield store
    finally:
        store.close()
        if leadership is not None:
            leadership.release()


def _copy(source: Connection, target: Connection, place: Place) -> Mapping[str, int]:
    tables = [table for table in copied_tables(_store_none_as_null).sorted_tables if table.name not in _NOT_COPIED]
    if any(target.execute(select(func.count()).select_from(table)).scalar() for table in tables):
        raise StateError(f"There is a state at {place} already.", hint="Name an empty database, or another file.")
    counts = {}
    for table in tables:
        counts[table.name] = 0
        rows = source.execution_options(yield_per=_BATCH).execute(select(table)).mappings()
        for batch in _batches(iter(rows)):
            target.execute(insert(table), batch)
            counts[table.name] += len(batch)
        if target.dialect.name == "postgresql" and counts[table.name] and "id" in table.columns:
            _continue_numbers(target, table)
    return {name: count for name, count in counts.items() if count}


def _batches(rows: Iterator[Any]) -> Iterator[list[dict[str, Any]]]:
    while batch := [dict(row) for row in islice(rows, _BATCH)]:
        yield batch


def _continue_numbers(connection: Connection, table: Table) -> None:
    """Let new rows get numbers after those of the copied ones, if the database numbers the rows of the table."""
    sequence = connection.execute(text("SELECT pg_get_serial_sequence(:name, 'id')"), {"name": table.name}).scalar()
    if sequence is not None:
        query = f"SELECT setval(:sequence, max(id)) FROM {table.name}"
        connection.execute(text(query), {"sequence": sequence})


def _store_none_as_null(column: Column[Any]) -> None:
    """Let None in a JSON column always be NULL, as it is read."""
    if isinstance(column.type, JSON):
        column.type = JSON(none_as_null=True)
