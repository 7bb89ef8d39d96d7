"""The endpoints of the live view: the status in a few numbers, the last 24 hours, problems, and runs in progress."""

from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from controller.api.http.documented_route import ResponseModel
from controller.api.http.pagination import Limit
from controller.api.http.responses import dependencies_of, json_response
from controller.api.http.routers import api_router
from controller.queries.attention import Attention, with_recent_runs
from controller.queries.attention_groups import MOST_GROUPS, AttentionGroup, group_attention
from controller.queries.deployment_cache import DeploymentCache
from controller.queries.progress import RunsInProgress, runs_in_progress
from controller.queries.status import public_source, read_controller
from controller.queries.status_summary import Activity, StatusSummary, last_day, summarize_status
from controller.store import source_status
from controller.store.condition_file import NOTICES, read_notices

router = api_router("/api/v1", "summary")

Offset = Annotated[int, Query(ge=0, le=1_000_000)]


class AttentionPage(ResponseModel):
    """A part of the list of problems. `total` is the number of all problems.

    `groups` are the first 100 groups of problems with the same cause, of all problems that match.
    """

    items: list[Attention]
    total: int
    groups: list[AttentionGroup]


@router.get("/summary", response_model=StatusSummary, summary="Get the status in a few numbers")
def summary(request: Request) -> Response:
    """The part of the status that fits on two lines: numbers of deployments and runs, the commit, what is due next."""
    dependencies = dependencies_of(request)
    cache: DeploymentCache = request.app.state.deployment_cache
    views, problems = cache.deployments(), len(cache.attention())
    notices = read_notices(dependencies.state.path / NOTICES)
    controller = read_controller(dependencies.state)
    with dependencies.store.read() as tx:
        source = public_source(source_status.find(tx), dependencies.location)
        result = summarize_status(tx, controller, source, notices, views, problems, dependencies.clock.now())
    return json_response(request, result)


@router.get("/activity", response_model=list[Activity], summary="Count the runs of the last 24 hours")
def activity(request: Request) -> Response:
    """The finished runs in each half hour of the last 24 hours, oldest first."""
    dependencies = dependencies_of(request)
    with dependencies.store.read() as tx:
        return json_response(request, last_day(tx, dependencies.clock.now()))


@router.get("/attention", response_model=AttentionPage, summary="List problems, the worst first")
def attention(
    request: Request,
    search: Annotated[str, Query(max_length=200)] = "",
    offset: Offset = 0,
    limit: Limit = 100,
) -> Response:
    """Problems of the source, of files and of deployments, each with the last runs of its deployment.

    `groups` has the problems with the same cause together, as the overview page shows them.

    `search` is a part of the subject or the message.
    """
    text = search.strip().lower()
    problems = request.app.state.deployment_cache.attention()
    matches = [item for item in problems if not text or text in f"{item.subject} {item.message}".lower()]
    with dependencies_of(request).store.read() as tx:
        items = with_recent_runs(tx, matches[offset : offset + limit])
    return json_response(
        request, {"items": items, "total": len(matches), "groups": group_attention(matches)[:MOST_GROUPS]}
    )


@router.get("/in-progress", response_model=RunsInProgress, summary="List runs in progress, and the queues")
def in_progress(request: Request, limit: Limit = 100) -> Response:
    """The running runs with their progress, the longest first; what the others wait for; and the load of the queues."""
    dependencies = dependencies_of(request)
    with dependencies.store.read() as tx:
        result = runs_in_progress(tx, dependencies.clock.now(), dependencies.state.runs, limit)
    return json_response(request, result)
