"""Creates all tables of a new database on a PostgreSQL server at once."""

from typing import Any

from sqlalchemy import Column, Connection, String, Text, text

from controller.store.tables import copied_tables

_COUNT = """
CREATE FUNCTION count_runs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        UPDATE run_counts SET count = count - 1 WHERE project = OLD.project AND state = OLD.state;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO run_counts (project, state, count) VALUES (NEW.project, NEW.state, 1)
        ON CONFLICT (project, state) DO UPDATE SET count = run_counts.count + 1;
    END IF;
    RETURN NULL;
END $$
"""
_CALL = "FOR EACH ROW EXECUTE FUNCTION count_runs()"
_CHANGED = "FOR EACH ROW WHEN (OLD.state <> NEW.state OR OLD.project <> NEW.project) EXECUTE FUNCTION count_runs()"
_TRIGGERS = (
    f"CREATE TRIGGER run_counts_insert AFTER INSERT ON runs {_CALL}",
    f"CREATE TRIGGER run_counts_delete AFTER DELETE ON runs {_CALL}",
    f"CREATE TRIGGER run_counts_update AFTER UPDATE OF state, project ON runs {_CHANGED}",
)


def create_tables(connection: Connection, version: str) -> None:
    """Create all tables and triggers in an empty database, as the migrations up to `version` do with SQLite."""
    tables = copied_tables(_let_text_be_text)
    for table in tables.tables.values():
        for index in table.indexes:
            index.dialect_kwargs["postgresql_where"] = index.dialect_kwargs.get("sqlite_where")
    tables.create_all(connection, checkfirst=False)
    for statement in (_COUNT, *_TRIGGERS):
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    connection.execute(text("INSERT INTO alembic_version VALUES (:version)"), {"version": version})


def _let_text_be_text(column: Column[Any]) -> None:
    """Give texts the type that behaves as that of SQLite: they have no length and no locale."""
    if isinstance(column.type, String):
        column.type = Text(collation="C")
