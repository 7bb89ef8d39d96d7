"""The pages of one run: its details and log, and the code changes since the last successful run."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from controller.api.dashboard.gantt import gantt
from controller.api.dashboard.run_timeline import steps
from controller.api.dashboard.template_filters import tone
from controller.api.dashboard.templating import render
from controller.api.http.responses import dependencies_of
from controller.model.runs import RunState
from controller.queries.run_diff import CodeChanges, diff_runs
from controller.queries.runs import run_detail

router = APIRouter()

RunIdText = Annotated[str, Path(pattern=r"^[0-9a-f-]{36}$")]


@router.get("/runs/{run_id}")
def run(request: Request, run_id: RunIdText) -> Response:
    """One run: state, details, tasks, artifacts and log."""
    dependencies = dependencies_of(request)
    now = dependencies.clock.now()
    with dependencies.store.read() as tx:
        view = run_detail(tx, run_id, now, dependencies.state.runs)
        comparison = diff_runs(tx, view)
    return render(
        request,
        "run.html",
        tab="Runs",
        view=view,
        is_final=RunState(view.state).is_terminal,
        steps=steps(view),
        comparison=comparison,
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
