"""The page of the graph: which deployments, files and webhooks start or hold back which."""

from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from controller.api.dashboard.graph_layout import draw_graph
from controller.api.dashboard.pages import Filters, similar_names
from controller.api.dashboard.templating import render
from controller.api.http.routers import page_router
from controller.model.graph import NodeKind, describe_share
from controller.queries.deployment_cache import DeploymentCache
from controller.queries.deployments import DeploymentState
from controller.queries.graph import GraphNode

router = page_router()

LISTED_EDGES = 200


@router.get("/graph")
def graph(request: Request, deployment: Annotated[str, Query(max_length=100)] = "") -> Response:
    """The graph of all deployments, or the part around one of them."""
    filters = Filters(request, ("deployment",))
    cache: DeploymentCache = request.app.state.deployment_cache
    view = cache.graph(deployment or None)
    return render(
        request,
        "graph.html",
        tab="Deployments",
        view=view,
        drawing=draw_graph(view),
        edges=[(edge, describe_share(edge)) for edge in view.edges[:LISTED_EDGES]],
        states={node.name: _state_of(node) for node in view.nodes},
        kinds={node.name: node.kind for node in view.nodes},
        filters={"deployment": deployment},
        names=similar_names(request, deployment),
        filter_problems=filters.problems,
    )


def _state_of(node: GraphNode) -> tuple[str, str]:
    """Return the state that decides on the colour and the icon of a node, and the text below its name."""
    if node.kind is NodeKind.FILE:
        return "none", "new files"
    if node.kind is NodeKind.WEBHOOK:
        return "none", "requests"
    is_active = node.run_state is not None and not node.run_state.is_terminal
    state = node.state
    if node.kind is NodeKind.MISSING:
        return "failed", "not active" if state is None else "never valid"
    if state is not None and state is not DeploymentState.OK and not is_active:
        return state, state.replace("_", " ")
    return ("none", "no runs yet") if node.run_state is None else (node.run_state, node.run_state.replace("_", " "))
