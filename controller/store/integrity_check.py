"""Is a state database sound? Read without opening it as a store, so that a bad one can be talked about."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from controller.store.database import SCHEMA_HEAD

SQLITE_VERSION = sqlite3.sqlite_version


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegrityReport:
    """The version of its schema, None if it has none, and what is wrong with it, None if nothing is."""

    schema: str | None
    problem: str | None

    @property
    def is_current(self) -> bool:
        """Whether it has the schema of this version."""
        return self.schema == SCHEMA_HEAD


def check_integrity(path: Path) -> IntegrityReport:
    """Look through the whole database. Never raises."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=5)) as connection:
            answer = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
            found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        return IntegrityReport(schema=None, problem=str(error))
    return IntegrityReport(schema=found[0] if found else None, problem=None if answer == "ok" else answer)
