"""The progress of running runs, and the load of the queues. The live view shows them with the waiting runs."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path

from controller.model import extend
from controller.model.queues import EVERYTHING
from controller.model.runs import Run
from controller.queries.in_progress import find_in_progress
from controller.queries.run_list import typical_seconds
from controller.records import dataclass
from controller.store import Transaction, queues, runs
from controller.store.task_reports import read_tree


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningRun(Run):
    """A running run with its progress.

    - `tasks_done` of `tasks_seen`: the tasks of the current attempt that have ended, and all that it has called so far.
    - `current_task`: the label of the newest task that is running.
    - `typical_seconds`: the median duration of the successful ones of the deployment's last 20 runs; None without any.
    """

    tasks_done: int
    tasks_seen: int
    current_task: str | None
    typical_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingRun:
    """A waiting run and its deployment."""

    id: str
    deployment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingRuns:
    """The runs that wait for the same thing, which `text` describes.

    `starts_at` is the first time at which one of them starts, if it is known. `runs` has the first 20 of them, and none
    if they only wait for a time.
    """

    text: str
    count: int
    starts_at: datetime | None
    runs: tuple[WaitingRun, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLoad:
    """A queue, or with the name `*` the whole controller: its limit (None: no limit) and its runs."""

    name: str
    limit: int | None
    running: int
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsInProgress:
    """The unfinished runs. `running` has those that have been running the longest; `more_running` counts the rest."""

    running: tuple[RunningRun, ...]
    more_running: int
    waiting: tuple[WaitingRuns, ...]
    queues: tuple[QueueLoad, ...]


def runs_in_progress(tx: Transaction, now: datetime, directory: Path, limit: int) -> RunsInProgress:
    """Return the unfinished runs, at most `limit` running ones. `directory` contains the directories of runs."""
    in_progress = find_in_progress(tx, now, limit)
    typical = typical_seconds(tx, {run.deployment for run in in_progress.running})
    return RunsInProgress(
        running=tuple(_with_progress(tx, run, directory, typical.get(run.deployment)) for run in in_progress.running),
        more_running=in_progress.more_running,
        waiting=tuple(
            WaitingRuns(
                text=group.text,
                count=group.count,
                starts_at=group.starts_at,
                runs=tuple(WaitingRun(id=run.id, deployment=run.deployment) for run in group.runs),
            )
            for group in in_progress.waiting
        ),
        queues=tuple(_queue_loads(tx, now, {run.queue for run in in_progress.running})),
    )


def _with_progress(tx: Transaction, run: Run, directory: Path, typical: float | None) -> RunningRun:
    attempts = runs.attempts_of(tx, run.id)
    tree = read_tree(directory / run.id / f"{attempts[-1].number}-{attempts[-1].nonce}") if attempts else None
    tasks = [] if tree is None else [task for task in tree.runs if task.kind == "task"]
    running = [task.label for task in tasks if task.state == "running"]
    return extend(
        RunningRun,
        run,
        tasks_done=sum(task.is_final for task in tasks),
        tasks_seen=len(tasks),
        current_task=running[-1] if running else None,
        typical_seconds=typical,
    )


def _queue_loads(tx: Transaction, now: datetime, in_use: Collection[str]) -> Sequence[QueueLoad]:
    load = queues.read_load(tx, now)
    waiting = Counter(run.queue for run in queues.find_waiting(tx))
    loads = [
        QueueLoad(
            name=name,
            limit=load.limits.get(name),
            running=load.running.get(name, 0),
            waiting=waiting.total() if name == EVERYTHING else waiting[name],
        )
        for name in {*load.limits, *waiting, *in_use}
    ]
    return sorted(loads, key=lambda queue: (queue.name != EVERYTHING, -queue.waiting, -queue.running, queue.name))
