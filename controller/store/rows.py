"""Converts model values to rows of tables, and back. A column has the name of its field.

The modules of tables call it. They pass the values of columns that have another type than their field.
"""

from collections.abc import Callable
from dataclasses import fields
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import Row, Table

from controller.store.store import Transaction

Value = TypeVar("Value")
_Shape = Callable[..., Any]


def to_row(tx: Transaction, table: Table, value: Any, **converted: Any) -> dict[str, Any]:
    """Return the columns of a model value; `converted` has those with another type than their field."""
    names = _stored_names(table, value.__class__)
    return {
        "project": tx.project,
        **{name: getattr(value, name) for name in names if name not in converted},
        **converted,
    }


def from_row(of: type[Value], row: Row[Any], **converted: Any) -> Value:
    """Return the model value of a row; `converted` has the fields with another type than their column."""
    shape: Callable[..., Value] = of
    return of(**{name: getattr(row, name) for name in _names(shape) if name not in converted}, **converted)


@cache
def _names(of: _Shape) -> tuple[str, ...]:
    shape: Any = of
    return tuple(field.name for field in fields(shape))


@cache
def _stored_names(table: Table, of: _Shape) -> tuple[str, ...]:
    return tuple(name for name in _names(of) if name in table.columns)
