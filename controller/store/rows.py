"""Converts model values to rows of tables, and back. A column has the name of its field.

The modules of tables call it. They pass the values of columns that have another type than their field.
"""

from dataclasses import fields
from typing import Any, TypeVar

from sqlalchemy import Row, Table

from controller.store.store import Transaction

Value = TypeVar("Value")


def to_row(tx: Transaction, table: Table, value: Any, **converted: Any) -> dict[str, Any]:
    """Return the columns of a model value; `converted` has those with another type than their field."""
    names = [field.name for field in fields(value) if field.name in table.columns and field.name not in converted]
    return {"project": tx.project, **{name: getattr(value, name) for name in names}, **converted}


def from_row(of: type[Value], row: Row[Any], **converted: Any) -> Value:
    """Return the model value of a row; `converted` has the fields with another type than their column."""
    shape: Any = of
    names = [field.name for field in fields(shape) if field.name not in converted]
    return of(**{name: getattr(row, name) for name in names}, **converted)
