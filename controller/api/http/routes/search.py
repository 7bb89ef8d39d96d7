"""The endpoint of the search."""

from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from controller.api.http.responses import dependencies_of, json_response
from controller.api.http.routers import api_router
from controller.queries.deployment_cache import DeploymentCache
from controller.queries.search import SearchResult, search

router = api_router("/api/v1/search", "search")


@router.get("", response_model=list[SearchResult], summary="Search deployments, tags, files, runs and backfills")
def results(
    request: Request,
    q: Annotated[str, Query(max_length=200)],
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> Response:
    """The best match first. `path` is the page of a result on the dashboard."""
    deployment_cache: DeploymentCache = request.app.state.deployment_cache
    views = deployment_cache.deployments()
    with dependencies_of(request).store.read() as tx:
        return json_response(request, search(tx, views, q, limit))
