"""The pages of one run: what it did, and what differs from the last one that went well."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from controller.api.pages.gantt import gantt
from controller.api.pages.rendering import render
from controller.api.pages.steps import steps
from controller.api.pages.words import tone
from controller.api.web.parts import parts_of
from controller.model.runs import RunState
from controller.views.comparison import CodeChanges, compare
from controller.views.journal import run_detail

router = APIRouter()

RunIdText = Annotated[str, Path(pattern=r"^[0-9a-f-]{36}$")]


@router.get("/runs/{run_id}")
def run(request: Request, run_id: RunIdText) -> Response:
    """One run and its log."""
    parts = parts_of(request)
    now = parts.clock.now()
    with parts.store.read() as tx:
        view = run_detail(tx, run_id, now, parts.state.runs)
        comparison = compare(tx, view)
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
    parts = parts_of(request)
    with parts.store.read() as tx:
        view = run_detail(tx, run_id, parts.clock.now())
        comparison = compare(tx, view)
    changes = CodeChanges()
    if comparison is not None and not comparison.same_revision:
        changes = parts.code_changes(view.revision, comparison.earlier.revision)
    return render(
        request, "diff.html", tab="Runs", view=view, comparison=comparison, changes=changes, zone_of=view.deployment
    )
