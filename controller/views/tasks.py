"""The tasks of a run as every surface shows them: from the state, or from its file while it runs."""

from pathlib import Path

from controller.model.runs import Run, RunState
from controller.model.task_runs import TaskRun
from controller.store import Transaction, runs, task_trees
from controller.store.task_files import read_tree


def task_runs(tx: Transaction, run: Run, directory: Path | None) -> tuple[TaskRun, ...]:
    """What the last attempt told. `directory`: where the directories of runs are, None where that is unknown."""
    if run.state is RunState.RUNNING and directory is not None:
        last = runs.attempts_of(tx, run.id)[-1]
        tree = read_tree(directory / run.id / f"{last.number}-{last.nonce}")
        return () if tree is None else tree.runs
    return task_trees.find(tx, run.id).runs
