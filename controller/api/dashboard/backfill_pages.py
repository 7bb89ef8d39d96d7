"""The pages of backfills: their list, and one backfill with its progress and its failed due times."""

from typing import Annotated

from fastapi import Path, Query, Request
from starlette.responses import Response

from controller.api.dashboard.pages import ROWS, Cursor, Filters, similar_names
from controller.api.dashboard.templating import render
from controller.api.http.responses import dependencies_of
from controller.api.http.routers import page_router
from controller.model.names import MAX_NAME
from controller.model.runs import FAILURES
from controller.queries.backfills import find_backfill, list_backfills
from controller.store import backfills

router = page_router()

_SHOWN_FAILURES = 100


@router.get("/backfills")
def backfill_list(
    request: Request, deployment: Annotated[str, Query(max_length=MAX_NAME)] = "", before: Cursor = None
) -> Response:
    """Backfills, newest first."""
    filters = Filters(request, ("deployment", "before"))
    with dependencies_of(request).store.read() as tx:
        rows = list_backfills(tx, ROWS + 1, deployment=deployment or None, before=before or None)
    return render(
        request,
        "backfills.html",
        tab="Backfills",
        backfills=rows[:ROWS],
        older=rows[ROWS - 1].id if len(rows) > ROWS else None,
        before=before,
        filters={"deployment": deployment},
        names=similar_names(request, deployment),
        filter_problems=filters.problems,
    )


@router.get("/backfills/{backfill_id}")
def backfill(request: Request, backfill_id: Annotated[str, Path(pattern=r"^[0-9a-f-]{36}$")]) -> Response:
    """One backfill: its progress, the due times that are left, and those that failed, with their runs."""
    with dependencies_of(request).store.read() as tx:
        view = find_backfill(tx, backfill_id)
        failed = backfills.find_runs(tx, view.id, FAILURES, _SHOWN_FAILURES + 1)
        following = backfills.next_times(tx, view.id, 1)
    return render(
        request,
        "backfill.html",
        tab="Backfills",
        view=view,
        failed=failed[:_SHOWN_FAILURES],
        removed=0 if len(failed) > _SHOWN_FAILURES else view.failed - len(failed),
        next_time=following[0][0] if following else None,
        zone_of=view.deployment,
    )
