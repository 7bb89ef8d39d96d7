"""Counts the SQL statements of a block. One that is executed for many rows at once counts once.

A statement of SQLAlchemy is compiled at its first execution, and looked up among the compiled ones at every other.
`Prepared` ones are not.
"""

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


@contextmanager
def counted_lookups() -> Iterator[list[Any]]:
    """Return a list that grows by each statement that SQLAlchemy looks up or compiles during the block."""
    statements: list[Any] = []

    def record(*arguments: Any) -> None:
        statements.append(arguments[1])

    event.listen(Engine, "before_execute", record)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_execute", record)
