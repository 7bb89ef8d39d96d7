"""Statements that are compiled once and executed for many rows, for what every turn of the run engine does.

SQLAlchemy otherwise builds a statement and looks up its compiled form at every call, which costs more than most of the
statements themselves. So does its own execution of a text: the cursor of the driver executes it, unless a listener
counts statements. A list of values is one parameter (`listed`), so that the text of a statement does not depend on
their number.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, NamedTuple

from sqlalchemy import (
    JSON,
    ColumnElement,
    Dialect,
    Executable,
    ScalarSelect,
    Select,
    bindparam,
    literal,
    select,
)
from sqlalchemy.sql.compiler import SQLCompiler

from controller.store.sql_functions import elements, rows
from controller.store.store import Transaction

_FLOAT8 = 701
"""PostgreSQL's number of the type of floats. The conversion of no other type of our columns depends on the number."""


class _Compiled(NamedTuple):
    """The text of a statement, its parameters in order, and how to convert its rows.

    A parameter has a name and a conversion, or no name and its value.
    """

    text: str
    parameters: Sequence[tuple[str | None, Any]]
    make_row: Callable[[Iterable[Any]], Any]
    conversions: Sequence[tuple[int, Callable[[Any], Any]]]


class Prepared:
    """A statement with its parameters as `bindparam`s. Other values in it are constants. Thread-safe."""

    _all: ClassVar[list["Prepared"]] = []

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._compiled: dict[str, _Compiled] = {}
        self._all.append(self)

    @classmethod
    def compile_all(cls, tx: Transaction) -> None:
        """Compile all statements that are not compiled yet, so that the first turn that needs them does not."""
        for prepared in cls._all:
            prepared._compile(tx.connection.dialect)

    def execute(self, tx: Transaction, rows: Iterable[Mapping[str, Any]]) -> None:
        """Execute the statement once for each row of parameters. Rows may have more keys than those."""
        compiled = self._compile(tx.connection.dialect)
        bound = [_bind(compiled, row) for row in rows]
        if not bound:
            return
        cursor = _cursor(tx)
        if cursor is None:
            tx.connection.exec_driver_sql(compiled.text, bound)
        else:
            cursor.executemany(compiled.text, bound)
            cursor.close()

    def fetch(self, tx: Transaction, **parameters: Any) -> list[Any]:
        """Execute the statement once and return its rows, which are named tuples."""
        compiled = self._compile(tx.connection.dialect)
        cursor = _cursor(tx)
        if cursor is None:
            cursor = tx.connection.exec_driver_sql(compiled.text, _bind(compiled, parameters)).cursor
        else:
            cursor.execute(compiled.text, _bind(compiled, parameters))
        rows = cursor.fetchall()
        cursor.close()
        make_row, conversions = compiled.make_row, compiled.conversions
        if not conversions:
            return list(map(make_row, rows))
        converted = []
        for row in rows:
            values = list(row)
            for index, convert in conversions:
                values[index] = convert(values[index])
            converted.append(make_row(values))
        return converted

    def run(self, tx: Transaction, **parameters: Any) -> int:
        """Execute the statement once and return the number of rows that it changed."""
        compiled = self._compile(tx.connection.dialect)
        cursor = _cursor(tx)
        if cursor is None:
            return int(tx.connection.exec_driver_sql(compiled.text, _bind(compiled, parameters)).rowcount)
        cursor.execute(compiled.text, _bind(compiled, parameters))
        count = int(cursor.rowcount)
        cursor.close()
        return count

    def _compile(self, dialect: Dialect) -> _Compiled:
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            compiled = self._compiled[dialect.name] = _compile(self._statement, dialect)
        return compiled


def listed(name: str) -> ScalarSelect[Any]:
    """Return the values of a list, which is the parameter `name`, to be used with `in_`."""
    return select(elements(bindparam(name, type_=JSON)).c.value).scalar_subquery()


def one_of(column: ColumnElement[Any], values: Iterable[str]) -> ColumnElement[bool]:
    """Return the condition that a column has one of these constant values."""
    return column.in_([literal(value) for value in values])


def listed_rows(name: str, *columns: str) -> Select[Any]:
    """Return the rows of a list of lists, which is the parameter `name`, with these columns."""
    return select(*rows(bindparam(name, type_=JSON), *columns))


def as_stored(instant: datetime) -> str:
    """Return an instant as columns of the type `Instant` contain it, for `listed_rows`."""
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def _cursor(tx: Transaction) -> Any:
    """Return a cursor of the driver; None if SQLAlchemy has to execute the statement, for a listener."""
    connection = tx.connection
    return None if connection.dispatch.before_cursor_execute else connection.connection.cursor()


def _compile(statement: Executable, dialect: Dialect) -> _Compiled:
    compiled = statement.compile(dialect=dialect)  # type: ignore[attr-defined]
    assert isinstance(compiled, SQLCompiler)
    assert compiled.positiontup is not None
    parameters: list[tuple[str | None, Any]] = []
    for name in compiled.positiontup:
        parameter = compiled.binds[name]
        convert = parameter.type.dialect_impl(dialect).bind_processor(dialect)
        if parameter.required:
            parameters.append((name, convert))
        else:
            value = parameter.effective_value
            parameters.append((None, value if convert is None else convert(value)))
    columns = compiled._result_columns
    found = [entry.type.dialect_impl(dialect).result_processor(dialect, _FLOAT8) for entry in columns]
    conversions = [(index, convert) for index, convert in enumerate(found) if convert is not None]
    row = namedtuple("Row", [entry.keyname for entry in columns])  # type: ignore[misc]
    return _Compiled(str(compiled), parameters, row._make, conversions)


def _bind(compiled: _Compiled, row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(
        [
            convert if name is None else row[name] if convert is None else convert(row[name])
            for name, convert in compiled.parameters
        ]
    )
