"""The endpoints of backfills: list, details, pause, resume and cancel. A deployment's endpoint creates them."""

from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from controller.api.http.pagination import Cursor, Limit, Page, make_page, read_cursor, text_parser
from controller.api.http.responses import ID_PATH, author_of, dependencies_of, full_id, json_response
from controller.api.http.routers import api_router
from controller.model.backfills import BackfillDetail, BackfillProgress
from controller.model.names import NAME_PATTERN
from controller.operations.backfills import cancel_whole_backfill, pause_backfill, resume_backfill
from controller.queries.backfills import find_backfill, list_backfills, show_backfill

router = api_router("/api/v1/backfills", "backfills")

BackfillId = Annotated[str, full_id("backfill"), ID_PATH]


@router.get("", response_model=Page[BackfillProgress], summary="List backfills, newest first")
def backfills(
    request: Request,
    deployment: Annotated[str | None, Query(pattern=NAME_PATTERN)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """The backfills of a deployment, or of all, with their progress."""
    before = read_cursor(request, cursor, text_parser("[0-9a-f-]{36}"))
    with dependencies_of(request).store.read() as tx:
        matches = list_backfills(tx, limit + 1, deployment=deployment, before=before)
    return json_response(request, make_page(request, matches, limit, lambda backfill: backfill.id))


@router.get("/{backfill_id}", response_model=BackfillDetail, summary="Get a backfill")
def backfill_detail(request: Request, backfill_id: BackfillId) -> Response:
    """The output of `controller backfills show -o json`. `GET /api/v1/runs?backfill=` lists its runs."""
    with dependencies_of(request).store.read() as tx:
        return json_response(request, show_backfill(tx, backfill_id))


@router.post("/{backfill_id}/pause", response_model=BackfillProgress, summary="Pause a backfill")
def backfill_pause(request: Request, backfill_id: BackfillId) -> Response:
    """Starts no more runs; those in progress continue. 409 if the backfill has ended."""
    pause_backfill(dependencies_of(request).operations, backfill_id, author=author_of(request))
    return _show(request, backfill_id)


@router.post("/{backfill_id}/resume", response_model=BackfillProgress, summary="Resume a paused backfill")
def backfill_resume(request: Request, backfill_id: BackfillId) -> Response:
    """Starts runs again. 409 if the backfill has ended."""
    resume_backfill(dependencies_of(request).operations, backfill_id, author=author_of(request))
    return _show(request, backfill_id)


@router.post("/{backfill_id}/cancel", response_model=BackfillProgress, summary="Cancel a backfill")
def backfill_cancel(request: Request, backfill_id: BackfillId) -> Response:
    """Cancels its unfinished runs too. 409 if the backfill has succeeded or failed."""
    cancel_whole_backfill(dependencies_of(request).operations, backfill_id, author=author_of(request))
    return _show(request, backfill_id)


def _show(request: Request, backfill_id: str) -> Response:
    with dependencies_of(request).store.read() as tx:
        return json_response(request, find_backfill(tx, backfill_id))
