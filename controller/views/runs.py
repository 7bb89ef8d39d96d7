"""Runs as every surface shows them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from controller.errors import NotFoundError
from controller.model.runs import Run, RunState
from controller.model.task_runs import TaskRun
from controller.store import Transaction, runs
from controller.store.runs import RunFilter
from controller.views.tasks import task_runs


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """One run. `attempt` of `attempts` at most; `tasks` is empty for flows that tell of none, and in lists."""

    id: str
    deployment: str
    state: str
    reason: str | None
    trigger: str
    scheduled_for: datetime | None
    not_before: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    attempt: int
    attempts: int
    exit_code: int | None
    signal: int | None
    revision: str
    spec_digest: str
    version: str | None
    tags: tuple[str, ...]
    parameters: Mapping[str, Any]
    result: Any
    tasks: tuple[TaskRun, ...] = ()


def run_view(run: Run, tasks: tuple[TaskRun, ...] = ()) -> RunView:
    """Show this run."""
    return RunView(
        id=run.id,
        deployment=run.deployment,
        state=shown(run.state).value,
        reason=run.reason,
        trigger=run.trigger.value,
        scheduled_for=run.scheduled_for,
        not_before=run.not_before,
        created_at=run.created_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        attempt=run.attempt,
        attempts=run.attempts,
        exit_code=run.exit_code,
        signal=run.signal,
        revision=run.revision,
        spec_digest=run.spec_digest,
        version=run.version,
        tags=run.tags,
        parameters=run.parameters,
        result=run.result,
        tasks=tasks,
    )


def list_runs(tx: Transaction, wanted: RunFilter) -> list[RunView]:
    """The runs that match, newest first."""
    return [run_view(run) for run in runs.select_all(tx, wanted)]


def find_run(tx: Transaction, run_id: str, directory: Path | None = None) -> RunView:
    """One run with its tasks, by its id, or by a beginning or an end of it that no other has. Raises NotFoundError.

    `directory`: where the directories of runs are, to look into that of one that is running.
    """
    found = runs.find_by_prefix(tx, run_id) if run_id else []
    if len(found) != 1:
        problem = "There is no run" if not found else "More than one run has an id with"
        raise NotFoundError(f"{problem} {run_id!r}.", hint="See `controller runs list`.")
    return run_view(found[0], task_runs(tx, found[0], directory))


def shown(state: RunState) -> RunState:
    """The state as people are told it."""
    return RunState.PENDING if state is RunState.LAUNCHING else state


def stored(state: RunState) -> tuple[RunState, ...]:
    """The states that are shown as this one."""
    return (RunState.PENDING, RunState.LAUNCHING) if state is RunState.PENDING else (state,)
