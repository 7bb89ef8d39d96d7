"""The endpoint of the graph of deployments."""

from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from controller.api.http.responses import dependencies_of, json_response
from controller.api.http.routers import api_router
from controller.queries.deployment_cache import DeploymentCache
from controller.queries.graph import GraphView
from controller.store import inventory
from controller.store.name_lookup import not_active

router = api_router("/api/v1", "deployments")


@router.get("/graph", response_model=GraphView, summary="Get what starts or holds back what")
def graph(request: Request, deployment: Annotated[str | None, Query(max_length=100)] = None) -> Response:
    """The deployments with `after`, `on` or dependants, and the edges between them.

    With `deployment`, only what it depends on, directly or not, and what depends on it.
    """
    cache: DeploymentCache = request.app.state.deployment_cache
    if deployment is not None:
        with dependencies_of(request).store.read() as tx:
            if inventory.find(tx, deployment) is None:
                raise not_active(tx, deployment)
    return json_response(request, cache.graph(deployment))
