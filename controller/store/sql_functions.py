"""Parts of statements that SQLite and PostgreSQL spell differently. The modules of tables use them.

Each part is compiled for the dialect that executes it.
"""

import json
from collections.abc import Iterable
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, Float, Integer, String, Text, literal_column
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.dialects.sqlite.dml import OnConflictDoNothing, OnConflictDoUpdate
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

__all__ = [
    "as_time",
    "duration",
    "elements",
    "json_kind",
    "rows",
    "seconds_since_epoch",
    "upsert",
    "without_index",
]


class _Function(FunctionElement[Any]):
    """A function with a template for each dialect, in which `{0}` and `{1}` are its arguments."""

    inherit_cache = True
    sqlite: ClassVar[str]
    postgresql: ClassVar[str]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.inherit_cache = True  # SQLAlchemy reads it from each class


@compiles(_Function)
def _compile(element: _Function, compiler: Any, **options: Any) -> str:
    arguments = [compiler.process(argument, **options) for argument in element.clauses]
    return str(getattr(element, compiler.dialect.name).format(*arguments))


@compiles(OnConflictDoUpdate, "postgresql")
def _compile_update(element: OnConflictDoUpdate, compiler: Any, **options: Any) -> str:
    """Compile the clause for PostgreSQL, which has another attribute. PostgreSQL's own takes long to import."""
    vars(element).setdefault("constraint_target", None)
    return str(compiler.visit_on_conflict_do_update(element, **options))


@compiles(OnConflictDoNothing, "postgresql")
def _compile_nothing(element: OnConflictDoNothing, compiler: Any, **options: Any) -> str:
    vars(element).setdefault("constraint_target", None)
    return str(compiler.visit_on_conflict_do_nothing(element, **options))


class _Elements(_Function):
    sqlite, postgresql = "json_each({0})", "json_array_elements_text(CAST({0} AS JSON))"


class _Rows(_Function):
    sqlite, postgresql = "json_each({0})", "json_array_elements(CAST({0} AS JSON))"


class _Item(_Function):
    type = Text()
    sqlite, postgresql = "json_extract({0}, '$[{1}]')", "({0} ->> {1})"


class _Kind(_Function):
    type = Text()
    sqlite = "json_type({0}, '$.{1}')"
    postgresql = "CASE json_typeof({0} -> '{1}') WHEN 'boolean' THEN {0} ->> '{1}' ELSE json_typeof({0} -> '{1}') END"


class _Seconds(_Function):
    type = Integer()
    sqlite, postgresql = "CAST(strftime('%s', {0}) AS INTEGER)", "CAST(floor(extract(epoch FROM {0})) AS BIGINT)"


class _Duration(_Function):
    type = Float()
    sqlite = "((julianday({1}) - julianday({0})) * 86400)"
    postgresql = "CAST(extract(epoch FROM {1} - {0}) AS DOUBLE PRECISION)"


class _WithoutIndex(_Function):
    type = String()
    sqlite, postgresql = "({0} || '')", "{0}"


class _Time(_Function):
    sqlite, postgresql = "{0}", "CAST({0} AS TIMESTAMP WITH TIME ZONE)"


def elements(values: ColumnElement[Any] | Iterable[str]) -> Any:
    """Return the texts of a JSON list, as a table with the column `value`.

    The list is a column, a parameter of the type JSON, or a collection, which becomes one parameter.
    """
    clause = values if isinstance(values, ColumnElement) else json.dumps(sorted(values))
    return _Elements(clause).table_valued("value")


def rows(values: ColumnElement[Any] | str, *columns: str) -> list[ColumnElement[Any]]:
    """Return the columns of a list of lists, which is a parameter of the type JSON, or a JSON text."""
    value = _Rows(values).table_valued("value").c.value
    return [_Item(value, literal_column(str(index))).label(column) for index, column in enumerate(columns)]


def json_kind(document: ColumnElement[Any], key: str) -> ColumnElement[Any]:
    """Return the kind of the value of a key: `true`, `false` or the name of another type; NULL without the key.

    The names of the other types are those of the database.
    """
    return _Kind(document, literal_column(key))


def seconds_since_epoch(instant: ColumnElement[Any]) -> ColumnElement[int]:
    """Return the whole seconds from the Unix epoch to an instant."""
    return _Seconds(instant)


def duration(start: ColumnElement[Any], end: ColumnElement[Any]) -> ColumnElement[float]:
    """Return the seconds from one instant to another."""
    return _Duration(start, end)


def as_time(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the instant that `prepared.as_stored` has converted to a text."""
    return _Time(text)


def without_index(column: ColumnElement[str]) -> ColumnElement[str]:
    """Return an expression equal to the column for which SQLite uses no index, so that it chooses another index.

    PostgreSQL chooses by its statistics.
    """
    return _WithoutIndex(column)
