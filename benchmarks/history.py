"""Generates the history of a repository that has been followed for a long time: millions of runs, attempts and events.

The rows are written directly to the state database, while no controller is running.
"""

import itertools
import json
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

_RUNS_PER_FAILURE = 50
_RUNS_PER_MANUAL_RUN = 97
_BATCH = 20_000


def write_history(database: Path, runs: int, days: int = 80) -> None:
    """Add this many finished runs to the active deployments, spread evenly over the last `days` days."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        rows = connection.execute("SELECT name, revision, file, spec_digest, document FROM inventory").fetchall()
        deployments = [(*row[:4], json.dumps(json.loads(row[4]).get("tags", []))) for row in rows]
        new_runs = _runs(deployments, runs, datetime.now(UTC).replace(tzinfo=None) - timedelta(days=days), days)
        while batch := list(itertools.islice(new_runs, _BATCH)):
            _insert(connection, batch)
            connection.commit()


def _runs(deployments: list[tuple[str, ...]], count: int, since: datetime, days: int) -> Iterator[dict[str, object]]:
    step = timedelta(days=days) / count
    for number in range(count):
        name, revision, file, digest, tags = deployments[number % len(deployments)]
        at = since + number * step
        is_failed = number % _RUNS_PER_FAILURE == 0
        millis = int(at.replace(tzinfo=UTC).timestamp() * 1000)
        yield {
            "id": str(uuid.UUID(int=(millis << 80) | (0x7 << 76) | ((number % 4096) << 64) | (0x2 << 62) | number)),
            "deployment": name,
            "revision": revision,
            "file": file,
            "digest": digest,
            "tags": tags,
            "state": "failed" if is_failed else "succeeded",
            "reason": "ValueError: made up" if is_failed else None,
            "trigger": "manual" if number % _RUNS_PER_MANUAL_RUN == 0 else "schedule",
            "at": at.isoformat(" "),
            "until": (at + timedelta(seconds=2 + number % 30)).isoformat(" "),
            "code": int(is_failed),
        }


def _insert(connection: sqlite3.Connection, batch: list[dict[str, object]]) -> None:
    connection.executemany(
        "INSERT INTO runs (id, project, deployment, state, reason, trigger, scheduled_for, created_at, started_at, "
        "finished_at, attempt, attempts, exit_code, revision, file, spec_digest, tags, parameters) "
        "VALUES (:id, 'default', :deployment, :state, :reason, :trigger, :at, :at, :at, "
        """:until, 1, 1, :code, :revision, :file, :digest, :tags, '{"region": "eu", "days": 1}')""",
        batch,
    )
    connection.executemany(
        "INSERT INTO attempts (run_id, number, nonce, boot_id, state, started_at, finished_at, exit_code, reason) "
        "VALUES (:id, 1, 'made-up', 'made-up', :state, :at, :until, :code, :reason)",
        batch,
    )
    connection.executemany(
        "INSERT INTO occurrences (project, deployment, scheduled_for, schedule, outcome, run_id) "
        "VALUES ('default', :deployment, :at, 'main', 'run', :id)",
        batch,
    )
    connection.executemany(
        "INSERT INTO events (project, time, severity, reason, message, about, revision) "
        "VALUES ('default', :until, 'error', 'RunFailed', :reason, :deployment, :revision)",
        [row for row in batch if row["state"] == "failed"],
    )
