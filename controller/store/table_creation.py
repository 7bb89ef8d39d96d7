"""Creates all tables of a new SQLite database at once. `databases.sqlite` calls it."""

from functools import cache
from typing import Any

from sqlalchemy import Connection, create_mock_engine, text

from controller.store.tables import all_tables

_ADD_ONE = """
INSERT INTO run_counts (project, state, count) VALUES (NEW.project, NEW.state, 1)
ON CONFLICT (project, state) DO UPDATE SET count = count + 1;
"""
_SUBTRACT_ONE = "UPDATE run_counts SET count = count - 1 WHERE project = OLD.project AND state = OLD.state;"
_MOVE_ONE = f"WHEN OLD.state <> NEW.state OR OLD.project <> NEW.project BEGIN {_SUBTRACT_ONE} {_ADD_ONE} END"
_TRIGGERS = (
    f"CREATE TRIGGER run_counts_insert AFTER INSERT ON runs BEGIN {_ADD_ONE} END",
    f"CREATE TRIGGER run_counts_delete AFTER DELETE ON runs BEGIN {_SUBTRACT_ONE} END",
    f"CREATE TRIGGER run_counts_update AFTER UPDATE OF state, project ON runs {_MOVE_ONE}",
)


def create_tables(connection: Connection, version: str) -> None:
    """Create all tables and triggers in an empty database, as the migrations up to `version` do, only faster."""
    for statement in _statements():
        connection.exec_driver_sql(statement)
    connection.execute(text("INSERT INTO alembic_version VALUES (:version)"), {"version": version})


@cache
def _statements() -> tuple[str, ...]:
    """Return the statements that create the tables and triggers. Compiling them takes longer than executing them."""
    tables: list[str] = []

    def record(statement: Any, *_: Any) -> None:
        tables.append(str(statement.compile(dialect=engine.dialect)))

    engine = create_mock_engine("sqlite://", record)
    all_tables.create_all(engine, checkfirst=False)
    return (
        *tables,
        *_TRIGGERS,
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)",
    )
