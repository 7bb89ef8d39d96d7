"""Counts the SQL statements of a block. One that is executed for many rows at once counts once."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event


@contextmanager
def counted() -> Iterator[list[str]]:
    """Return a list that grows by the text of each statement during the block, without those of transactions."""
    statements: list[str] = []

    def record(*arguments: Any) -> None:
        if not arguments[2].startswith(("BEGIN", "COMMIT", "ROLLBACK")):
            statements.append(arguments[2])

    event.listen(Engine, "before_cursor_execute", record)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", record)
