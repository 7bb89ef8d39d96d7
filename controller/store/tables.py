"""All tables of the state. The modules that add some to those of `schema` do so when they are imported."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Column, MetaData

from controller.store import leadership_tables, notification_tables, trigger_tables
from controller.store.schema import metadata

_EXTENSIONS = (leadership_tables, notification_tables, trigger_tables)

all_tables: MetaData = metadata
"""Every table, whatever else was imported before."""


def copied_tables(change: Callable[[Column[Any]], None]) -> MetaData:
    """Return a copy of all tables, in which `change` was called with each column."""
    copied = MetaData(naming_convention=all_tables.naming_convention)
    for table in all_tables.sorted_tables:
        for column in table.to_metadata(copied).columns:
            change(column)
    return copied
