"""The source page: the history of its commits, its findings and passes, and deletions that await approval."""

from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from controller.api.dashboard.charts import stage_bars
from controller.api.dashboard.pages import Filters
from controller.api.dashboard.templating import render
from controller.api.http.responses import dependencies_of
from controller.api.http.routers import page_router
from controller.api.http.routes.reconcile import status_of
from controller.errors import ControllerError
from controller.model.commits import commit_id
from controller.queries.findings import group_findings
from controller.reconcile.preview import Preview
from controller.store import commits, run_statistics

router = page_router()

COMMITS = 30
FINDINGS = 100


@router.get("/source")
def source(
    request: Request, before: Annotated[str | None, Query(pattern="^([0-9a-f]{40}|[0-9a-f]{64})?$")] = None
) -> Response:
    """The source."""
    view = status_of(request)
    filters = Filters(request, ("before",))
    with dependencies_of(request).store.read() as tx:
        history = commits.latest(tx, COMMITS + 1, before or None)
        failed = run_statistics.failures_by_revision(tx)
    plan, problem = (None, None) if view.withheld is None else _plan(request)
    return render(
        request,
        "source.html",
        tab="Source",
        view=view,
        history=history[:COMMITS],
        failed={commit_id(revision): count for revision, count in failed.items()},
        applied=commit_id(view.source.last_applied_revision),
        attempted=commit_id(view.source.last_attempted_revision),
        before=before,
        older=history[COMMITS - 1].sha if len(history) > COMMITS else None,
        filter_problems=filters.problems,
        passes=[(record, stage_bars(record.stages)) for record in view.passes],
        total=len(view.deployments),
        plan=plan,
        problem=problem,
        findings=group_findings(view.source.findings, FINDINGS),
    )


def _plan(request: Request) -> tuple[Preview | None, str | None]:
    try:
        return dependencies_of(request).plan(None), None
    except ControllerError as error:
        return None, error.message
