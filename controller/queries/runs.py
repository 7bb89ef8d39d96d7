"""Runs as every surface shows them."""

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
    """One run. `attempt` of `attempts` at most.

    `name`, `tasks` and `artifacts` are what its flow told, if it told any; lists leave them out.
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
    """Show this run, and what it waits for."""
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
        waiting=waiting,
        queue=run.queue,
        priority=run.priority,
        start_by=run.start_by,
        retry_of=run.retry_of,
    )


def list_runs(tx: Transaction, wanted: RunFilter, now: datetime, limit: int | None = None) -> list[RunView]:
    """The runs that match, newest first; at most `limit`."""
    return run_views(tx, select_all(tx, wanted, limit), now)


def page_of_runs(
    tx: Transaction, wanted: RunFilter, now: datetime, *, limit: int, before: str | None
) -> tuple[list[RunView], str | None]:
    """A page of the same, and what to ask `before` for the next one; None at the end."""
    page = runs_page(tx, wanted, limit=limit, before=before)
    return run_views(tx, page.runs, now), page.next


def find_run(tx: Transaction, run_id: str, now: datetime | None = None, *, directory: Path | None = None) -> RunView:
    """One run, by its id, or by a beginning or an end of it that no other has. Raises NotFoundError.

    With `now` it says what it waits for. `directory`: where the directories of runs are, to look into that of one
    that is running.
    """
    found = runs.find_by_prefix(tx, run_id) if run_id else []
    if len(found) != 1:
        problem = "There is no run" if not found else "More than one run has an id with"
        raise NotFoundError(f"{problem} {run_id!r}.", hint="See `controller runs list`.")
    shown_run = run_view(found[0]) if now is None else run_views(tx, found, now)[0]
    return with_told(shown_run, task_tree(tx, found[0], directory))


def with_told(view: RunView, tree: TaskTree) -> RunView:
    """The same with what its flow told."""
    return replace(view, name=tree.name, tasks=tree.runs, artifacts=tree.artifacts)


def run_views(tx: Transaction, found: list[Run], now: datetime) -> list[RunView]:
    """These runs, and what those of them wait for that wait."""
    reasons: dict[str, str] = {}
    if any(run.state in (RunState.PENDING, RunState.RETRYING) for run in found):
        waiting = schedule_queue(queues.waiting(tx), queues.load(tx, now), now)
        reasons = {one.id: reason or missing_resource(one) or "its turn, which is next" for one, reason in waiting}
    return [run_view(run, reasons.get(run.id)) for run in found]


def shown(state: RunState) -> RunState:
    """The state as people are told it."""
    return RunState.PENDING if state is RunState.LAUNCHING else state


def stored(state: RunState) -> tuple[RunState, ...]:
    """The states that are shown as this one."""
    return (RunState.PENDING, RunState.LAUNCHING) if state is RunState.PENDING else (state,)
