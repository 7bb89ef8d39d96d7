"""The table of task trees: the task runs of a finished attempt, in one row, since they are only read together."""

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select

from controller.model.artifacts import Artifact
from controller.model.task_runs import TaskRun, TaskTree
from controller.store.schema import runs, task_trees
from controller.store.store import Transaction


def save(tx: Transaction, run_id: str, attempt: int, tree: TaskTree) -> None:
    """Save the tree of one attempt; it replaces an earlier one. Does nothing if there is no such run."""
    if tx.connection.execute(select(runs.c.id).where(runs.c.id == run_id)).first() is None:
        return
    of_attempt = (task_trees.c.run_id == run_id, task_trees.c.attempt == attempt)
    tx.connection.execute(delete(task_trees).where(*of_attempt))
    row = {
        "run_id": run_id,
        "attempt": attempt,
        "runs": [_plain(run) for run in tree.runs],
        "dropped": tree.dropped,
        "artifacts": [asdict(artifact) for artifact in tree.artifacts],
        "name": tree.name,
    }
    tx.connection.execute(insert(task_trees).values(row))


def find(tx: Transaction, run_id: str) -> TaskTree:
    """Return the tree of a run's last attempt; an empty one if nothing was reported."""
    query = select(task_trees).where(task_trees.c.run_id == run_id).order_by(task_trees.c.attempt.desc()).limit(1)
    row = tx.connection.execute(query).first()
    if row is None:
        return TaskTree()
    return TaskTree(
        runs=tuple(_read(values) for values in row.runs),
        dropped=row.dropped,
        artifacts=tuple(Artifact(**values) for values in row.artifacts or ()),
        name=row.name,
    )


def find_names(tx: Transaction, run_ids: Collection[str]) -> dict[str, str]:
    """Return the names that the last attempts of these runs reported, by the id of the run, with one statement."""
    query = select(task_trees.c.run_id, task_trees.c.name).where(task_trees.c.run_id.in_(run_ids))
    rows = tx.connection.execute(query.order_by(task_trees.c.attempt)).all() if run_ids else []
    return {run_id: name for run_id, name in {row.run_id: row.name for row in rows}.items() if name}


def _plain(run: TaskRun) -> dict[str, Any]:
    """Convert a task run to JSON values: without empty fields, times as ISO 8601."""
    values = {name: value for name, value in asdict(run).items() if value not in (None, False, (), "")}
    for name in ("started_at", "finished_at"):
        if name in values:
            values[name] = values[name].isoformat()
    return values


def _read(values: dict[str, Any]) -> TaskRun:
    times: dict[str, Any] = {
        name: datetime.fromisoformat(values[name]) for name in ("started_at", "finished_at") if name in values
    }
    fields: dict[str, Any] = {"parent": None, **values, **times, "tags": tuple(values.get("tags", ()))}
    fields["needs"] = tuple(values.get("needs", ()))
    return TaskRun(**fields)
