"""Reads the names that a shell completes. `cli.complete` calls it each time somebody presses Tab.

It uses the driver of SQLite itself: importing SQLAlchemy would take longer than all the rest of a completion.
"""

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from controller.state_url import StateUrl

SHORT_ID = 12
"""The number of characters of an id that lists show: the last ones, which are random."""
_MOST_IDS = 1000
_TIMEOUT_SECONDS = 0.5


def deployments(database: Path) -> list[str]:
    """Return the names of the active deployments."""
    rows = _read(database, "SELECT name FROM inventory WHERE removed_at IS NULL ORDER BY name")
    return [name for (name,) in rows]


def deleted_deployments(database: Path) -> list[str]:
    """Return the names of the deployments that can be restored."""
    rows = _read(database, "SELECT name FROM inventory WHERE removed_at IS NOT NULL ORDER BY name")
    return [name for (name,) in rows]


def tags(database: Path) -> list[str]:
    """Return the tags of the active deployments."""
    query = "SELECT json_extract(document, '$.tags') FROM inventory WHERE removed_at IS NULL"
    lists = (json.loads(text) for (text,) in _read(database, query) if text)
    return sorted({str(tag) for tags in lists if isinstance(tags, list) for tag in tags})


def runs(database: Path, states: Iterable[str] = ()) -> list[tuple[str, str]]:
    """Return the ids of the newest runs, in these states if there are any, each with its deployment and its state."""
    values = tuple(states)
    where = f"WHERE state IN ({', '.join('?' * len(values))})" if values else ""
    query = f"SELECT id, deployment, state FROM runs {where} ORDER BY id DESC LIMIT {_MOST_IDS}"
    return [(run_id, f"{deployment} {state}") for run_id, deployment, state in _read(database, query, *values)]


def backfills(database: Path) -> list[tuple[str, str]]:
    """Return the ids of the newest backfills, each with its deployment and its state."""
    query = f"SELECT id, deployment, state FROM backfills ORDER BY id DESC LIMIT {_MOST_IDS}"
    return [(backfill_id, f"{deployment} {state}") for backfill_id, deployment, state in _read(database, query)]


def channels(database: Path) -> list[str]:
    """Return the names of the channels of notifications."""
    return [name for (name,) in _read(database, "SELECT name FROM channels ORDER BY name")]


def withheld_digests(database: Path) -> list[str]:
    """Return the digest of the deletions that wait for approval, if there are any."""
    rows = _read(database, "SELECT json_extract(withheld, '$.digest') FROM source")
    return [digest for (digest,) in rows if digest]


def applied_environments(database: Path) -> list[str]:
    """Return the environment that the controller applies, if there is one."""
    return [name for (name,) in _read(database, "SELECT environment FROM source WHERE environment <> ''")]


def hosts(url: StateUrl) -> list[str]:
    """Return the hosts whose controllers share the state on a server."""
    from controller.store.databases.postgresql import connect

    with connect(url) as connection:
        rows = connection.execute("SELECT DISTINCT split_part(place, ':', 1) FROM hosts ORDER BY 1").fetchall()
    return [name for (name,) in rows]


def _read(database: Path, query: str, *values: str) -> list[tuple[Any, ...]]:
    uri = f"{database.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=_TIMEOUT_SECONDS)) as connection:
        return connection.execute(query, values).fetchall()
