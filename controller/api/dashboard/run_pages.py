"""The pages of one run: its details and log, and the code changes since the last successful run."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from controller.api.dashboard.gantt import gantt
from controller.api.dashboard.template_filters import tone
from controller.api.dashboard.templating import render
from controller.api.http.responses import dependencies_of
from controller.model.runs import RunDetail, RunState
from controller.queries.occurrences import list_due_runs
from controller.queries.run_diff import CodeChanges, diff_runs
from controller.queries.runs import run_detail

router = APIRouter()

RunIdText = Annotated[str, Path(pattern=r"^[0-9a-f-]{36}$")]
_CREATED = {
    "schedule": "triggered by schedule",
    "manual": "triggered manually",
    "backfill": "triggered by backfill",
    "retry": "triggered by retry",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step: what happened and when. `state` is that of the run or attempt from then on; it selects the icon."""

    state: str
    text: str
    at: datetime | None
    detail: str = ""


@router.get("/runs/{run_id}")
def run(request: Request, run_id: RunIdText) -> Response:
    """One run: state, details, tasks, artifacts and log."""
    dependencies = dependencies_of(request)
    now = dependencies.clock.now()
    with dependencies.store.read() as tx:
        view = run_detail(tx, run_id, now, dependencies.state.runs)
        comparison = diff_runs(tx, view)
        due_runs = () if view.scheduled_for is None else list_due_runs(tx, view.deployment, view.scheduled_for)
    return render(
        request,
        "run.html",
        tab="Runs",
        view=view,
        is_final=RunState(view.state).is_terminal,
        steps=steps(view),
        comparison=comparison,
        due_runs=due_runs,
        chart=gantt(view.tasks, now),
        labels={task.id: task.label for task in view.tasks},
        has_failed_tasks=any(tone(task.state) == "bad" for task in view.tasks),
        zone_of=view.deployment,
    )


@router.get("/runs/{run_id}/diff")
def difference(request: Request, run_id: RunIdText) -> Response:
    """The files that differ between the commits of this run and of the last successful run before it."""
    dependencies = dependencies_of(request)
    with dependencies.store.read() as tx:
        view = run_detail(tx, run_id, dependencies.clock.now())
        comparison = diff_runs(tx, view)
    changes = CodeChanges()
    if comparison is not None and not comparison.same_revision:
        changes = dependencies.code_changes(view.revision, comparison.earlier.revision)
    return render(
        request, "diff.html", tab="Runs", view=view, comparison=comparison, changes=changes, zone_of=view.deployment
    )


def steps(view: RunDetail) -> list[Step]:
    """Return the steps of a run: due, created, the start and end of each attempt, finished."""
    return list(_steps(view))


def _steps(view: RunDetail) -> Iterator[Step]:
    if view.scheduled_for is not None:
        yield Step(state="scheduled", text="due", at=view.scheduled_for)
    yield Step(
        state="pending", text=_CREATED.get(view.trigger, "created"), at=view.created_at, detail=view.waiting or ""
    )
    has_retries = view.attempts > 1
    for attempt in view.history:
        name = f"attempt {attempt.number} of {view.attempts} " if has_retries else ""
        if attempt.started_at is not None:
            yield Step(state="running", text=f"{name}started", at=attempt.started_at)
        if attempt.finished_at is not None and (has_retries or view.finished_at is None):
            yield Step(
                state=attempt.state,
                text=f"{name}{_readable(attempt.state)}",
                at=attempt.finished_at,
                detail=attempt.reason or "",
            )
    if view.finished_at is not None:
        yield Step(state=view.state, text=_readable(view.state), at=view.finished_at, detail=view.reason or "")
    elif view.not_before is not None and view.state in ("pending", "retrying"):
        yield Step(
            state=view.state, text="next attempt" if view.state == "retrying" else "earliest start", at=view.not_before
        )


def _readable(state: str) -> str:
    return state.replace("_", " ")
