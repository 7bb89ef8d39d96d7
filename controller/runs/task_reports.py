"""What flows told of their tasks, from the files that supervisors wrote to the state. Called by the watchlist.

Reading comes before the transaction that settles the runs, writing is part of it: a run that has ended has its tasks.
"""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from controller.model.runs import Run
from controller.model.task_runs import TaskTree
from controller.runs.recovery import Finished, Lost, Recovery
from controller.store import Transaction, task_trees
from controller.store.task_reports import read_tree

log = logging.getLogger(__name__)

Trees = Mapping[tuple[str, int], TaskTree]


def read_trees(ended: Iterable[tuple[Run, Path, Recovery]]) -> Trees:
    """The trees of these by run and attempt: of those that ran and told of tasks."""
    found: dict[tuple[str, int], TaskTree] = {}
    for run, directory, verdict in ended:
        tree = _read(run, directory) if isinstance(verdict, Finished | Lost) else None
        if tree is not None:
            found[run.id, run.attempt] = tree.end_unfinished(
                verdict.state.value if isinstance(verdict, Finished) else "crashed"
            )
    return found


def _read(run: Run, directory: Path) -> TaskTree | None:
    """The tree of this attempt; what can't be read is told in the log, and keeps no run from its end."""
    try:
        return read_tree(directory)
    except Exception:
        log.exception("The task events of a flow can't be read", extra={"deployment": run.deployment, "run": run.id})
        return None


def record(tx: Transaction, trees: Trees) -> None:
    """Keep them."""
    for (run_id, attempt), tree in trees.items():
        task_trees.save(tx, run_id, attempt, tree)
