"""Runs as all user interfaces show them, with the reason why each waiting run waits."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from controller.errors import NotFoundError
from controller.model.artifacts import Artifact
from controller.model.queues import missing_resource, schedule_queue
from controller.model.runs import Run, RunState
from controller.model.task_runs import TaskRun, TaskTree
from controller.queries.task_runs import task_tree
from controller.store import Transaction, queues, runs
from controller.store.run_search import RunFilter, runs_page, select_all


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """One run. `attempt` is the current attempt, out of `attempts` at most; `waiting` says what the run waits for.

    `name`, `tasks` and `artifacts` were reported by the flow; they are empty in lists of runs.
    """

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
    name: str | None = None
    tasks: tuple[TaskRun, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    waiting: str | None = None
    queue: str
    priority: int
    start_by: datetime | None
    retry_of: str | None


def run_view(run: Run, waiting: str | None = None) -> RunView:
    """Convert a run to a view. `waiting` says what it waits for."""
    return RunView(
        id=run.id,
        deployment=run.deployment,
        state=public_state(run.state).value,
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
        waiting=waiting,
        queue=run.queue,
        priority=run.priority,
        start_by=run.start_by,
        retry_of=run.retry_of,
    )


def list_runs(tx: Transaction, criteria: RunFilter, now: datetime, limit: int | None = None) -> list[RunView]:
    """Return the runs that match, newest first, at most `limit`."""
    return run_views(tx, select_all(tx, criteria, limit), now)


def page_of_runs(
    tx: Transaction, criteria: RunFilter, now: datetime, *, limit: int, before: str | None
) -> tuple[list[RunView], str | None]:
    """Return a page of the runs that match, newest first, and `before` for the next page, which is None at the end."""
    page = runs_page(tx, criteria, limit=limit, before=before)
    return run_views(tx, page.runs, now), page.next


def find_run(tx: Transaction, run_id: str, now: datetime | None = None, *, directory: Path | None = None) -> RunView:
    """Return one run by its id, or by a unique beginning or end of its id. Raises NotFoundError.

    With `now`, `waiting` is set. `directory` contains the directories of runs; the task tree of a running run is read
    from there.
    """
    matches = runs.find_by_prefix(tx, run_id) if run_id else []
    if len(matches) != 1:
        problem = "There is no run" if not matches else "There is more than one run whose id begins or ends with"
        raise NotFoundError(f"{problem} {run_id!r}.", hint="See `controller runs list`.")
    view = run_view(matches[0]) if now is None else run_views(tx, matches, now)[0]
    return with_task_tree(view, task_tree(tx, matches[0], directory))


def with_task_tree(view: RunView, tree: TaskTree) -> RunView:
    """Return the view with the name, tasks and artifacts that the flow reported."""
    return replace(view, name=tree.name, tasks=tree.runs, artifacts=tree.artifacts)


def run_views(tx: Transaction, matches: list[Run], now: datetime) -> list[RunView]:
    """Convert runs to views, with what each waiting run waits for."""
    reasons: dict[str, str] = {}
    if any(run.state in (RunState.PENDING, RunState.RETRYING) for run in matches):
        waiting = schedule_queue(queues.find_waiting(tx), queues.read_load(tx, now), now)
        reasons = {run.id: reason or missing_resource(run) or "starting next" for run, reason in waiting}
    return [run_view(run, reasons.get(run.id)) for run in matches]


def public_state(state: RunState) -> RunState:
    """Return the state as it is shown to users: `launching` is internal and shown as `pending`."""
    return RunState.PENDING if state is RunState.LAUNCHING else state


def stored_states(state: RunState) -> tuple[RunState, ...]:
    """Return the stored states that are shown as this one."""
    return (RunState.PENDING, RunState.LAUNCHING) if state is RunState.PENDING else (state,)
