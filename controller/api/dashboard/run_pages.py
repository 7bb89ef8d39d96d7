"""The pages of one run: what it did, and what differs from the last one that went well."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from controller.api.dashboard.gantt import gantt
from controller.api.dashboard.run_timeline import steps
from controller.api.dashboard.template_filters import tone
from controller.api.dashboard.templating import render
from controller.api.http.responses import dependencies_of
from controller.model.runs import RunState
from controller.queries.events import run_detail
from controller.queries.run_diff import CodeChanges, diff_runs

router = APIRouter()

RunIdText = Annotated[str, Path(pattern=r"^[0-9a-f-]{36}$")]


@router.get("/runs/{run_id}")
def run(request: Request, run_id: RunIdText) -> Response:
    """One run and its log."""
    parts = dependencies_of(request)
    now = parts.clock.now()
    with parts.store.read() as tx:
        view = run_detail(tx, run_id, now, parts.state.runs)
        comparison = diff_runs(tx, view)
    return render(
        request,
        "run.html",
        tab="Runs",
        view=view,
        is_final=RunState(view.state).is_terminal,
        steps=steps(view),
        comparison=comparison,
        picture=gantt(view.tasks, now),
        labels={one.id: one.label for one in view.tasks},
        has_trouble=any(tone(one.state) == "bad" for one in view.tasks),
        zone_of=view.deployment,
    )


@router.get("/runs/{run_id}/diff")
def difference(request: Request, run_id: RunIdText) -> Response:
    """The files of git that differ from those of the last run before it that succeeded."""
    parts = dependencies_of(request)
    with parts.store.read() as tx:
        view = run_detail(tx, run_id, parts.clock.now())
        comparison = diff_runs(tx, view)
    changes = CodeChanges()
    if comparison is not None and not comparison.same_revision:
        changes = parts.code_changes(view.revision, comparison.earlier.revision)
    return render(
        request, "diff.html", tab="Runs", view=view, comparison=comparison, changes=changes, zone_of=view.deployment
    )
