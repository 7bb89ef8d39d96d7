"""Checks a state database for damage. It uses SQLite directly, since a damaged one can't be opened as a store."""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from controller.records import dataclass
from controller.store.database import SCHEMA_HEAD

SQLITE_VERSION = sqlite3.sqlite_version


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegrityReport:
    """The version of the schema, None if there is none, and the first problem found, None if there is none."""

    schema: str | None
    problem: str | None

    @property
    def is_current(self) -> bool:
        """Whether the schema is that of this version of controller."""
        return self.schema == SCHEMA_HEAD


def check_integrity(path: Path) -> IntegrityReport:
    """Check the whole database. Never raises: errors of SQLite are returned as the problem."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=5)) as connection:
            result = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        return IntegrityReport(schema=None, problem=str(error))
    return IntegrityReport(schema=row[0] if row else None, problem=None if result == "ok" else result)
