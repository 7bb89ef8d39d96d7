"""Reads the task trees of ended runs from `events.jsonl` and stores them. Called by the monitor.

The trees are read before the transaction that records the outcomes and written as part of it, so that every finished
run has its tasks.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from controller.model.failure_cause import find_cause
from controller.model.runs import Run, RunOutcome, RunState
from controller.model.task_runs import TaskTree
from controller.runs.executors.executor import AttemptStatus
from controller.store import Transaction, task_trees
from controller.store.task_reports import read_tree

log = logging.getLogger(__name__)

Trees = Mapping[tuple[str, int], TaskTree]


def read_trees(ended: Iterable[tuple[Run, Path, AttemptStatus]]) -> Trees:
    """Return the task trees by run id and attempt. Runs that were not started or have no tree are left out."""
    trees: dict[tuple[str, int], TaskTree] = {}
    for run, directory, status in ended:
        if isinstance(status, RunOutcome) and (tree := _read(run, directory)) is not None:
            trees[run.id, run.attempt] = tree.end_unfinished(status.state.value)
    return trees


def _read(run: Run, directory: Path) -> TaskTree | None:
    """Return the tree of this attempt. An error is logged and does not prevent the run from ending."""
    try:
        return read_tree(directory)
    except Exception:
        log.exception("The task events of a flow can't be read", extra={"deployment": run.deployment, "run": run.id})
        return None


def with_cause(outcome: RunOutcome, tree: TaskTree | None) -> RunOutcome:
    """Return the outcome with the failed task that caused it as the reason."""
    if tree is None or outcome.state is not RunState.FAILED or outcome.reason is None:
        return outcome
    return replace(outcome, reason=find_cause(outcome.reason, tree.runs))


def record(tx: Transaction, trees: Trees) -> None:
    """Store these trees."""
    for (run_id, attempt), tree in trees.items():
        task_trees.save(tx, run_id, attempt, tree)
