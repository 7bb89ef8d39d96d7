"""The tasks, artifacts and name that the flow of a run reported: from the state, or from its file while it runs."""

from pathlib import Path

from controller.model.runs import Run, RunState
from controller.model.task_runs import TaskTree
from controller.store import Transaction, runs, task_trees
from controller.store.task_reports import read_tree


def task_tree(tx: Transaction, run: Run, directory: Path | None) -> TaskTree:
    """Return the task tree of the last attempt. `directory` contains the directories of runs, None if it is unknown."""
    if run.state is RunState.RUNNING and directory is not None:
        last = runs.attempts_of(tx, run.id)[-1]
        return read_tree(directory / run.id / f"{last.number}-{last.nonce}") or TaskTree()
    return task_trees.find(tx, run.id)
