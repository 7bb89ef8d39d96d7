"""The Deployments page: a table of the deployments that match the filters, and how many are in each state."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query, Request
from starlette.responses import Response

from controller.api.dashboard.charts import strip_chart
from controller.api.dashboard.pages import ROWS, Filters
from controller.api.dashboard.templating import render
from controller.api.http.responses import dependencies_of
from controller.api.http.routers import page_router
from controller.queries.deployment_cache import DeploymentCache
from controller.queries.deployment_list import DeploymentSort, deployment_rows, matching, sort_deployments
from controller.queries.deployments import DeploymentState, Health, Sync, count_states
from controller.store import source_status

router = page_router()

SYNCS = [sync.value for sync in Sync]
HEALTHS = [health.value for health in Health]
STATES = [state.value for state in DeploymentState]
SORTS = [sort.value for sort in DeploymentSort]
_TAGS = 200
_DOCUMENTS = 200
"""The most documents with a matrix to choose from."""


@router.get("/deployments")
def deployments(  # noqa: PLR0913
    request: Request,
    search: Annotated[str, Query(max_length=200)] = "",
    tag: Annotated[str, Query(max_length=200)] = "",
    sync: Annotated[str, Query(max_length=20)] = "",
    health: Annotated[str, Query(max_length=20)] = "",
    state: Annotated[str, Query(max_length=20)] = "",
    document: Annotated[str, Query(max_length=1000)] = "",
    sort: Annotated[str, Query(max_length=20)] = "",
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
) -> Response:
    """All deployments, problems first unless they are sorted otherwise."""
    deployment_cache: DeploymentCache = request.app.state.deployment_cache
    views = deployment_cache.deployments()
    filters = Filters(request, ("search", "tag", "sync", "health", "state", "document", "sort", "page"))
    sync, health = filters.one_of("sync", SYNCS, sync), filters.one_of("health", HEALTHS, health)
    state, sort = filters.one_of("state", STATES, state), filters.one_of("sort", SORTS, sort)
    candidates = matching(
        views,
        search=search,
        tag=tag or None,
        sync=Sync(sync) if sync else None,
        health=Health(health) if health else None,
        document=document or None,
    )
    of_state = [view for view in candidates if not state or view.state == state]
    matches = sort_deployments(of_state, DeploymentSort(sort or "problems"))
    pages = max(1, -(-len(matches) // ROWS))
    page = filters.page(page, pages)
    with dependencies_of(request).store.read() as tx:
        visible = matches[(page - 1) * ROWS : page * ROWS]
        rows = deployment_rows(tx, visible, source_status.find(tx), deployment_cache.schedules)
    values = {"search": search, "tag": tag, "sync": sync, "health": health, "state": state, "sort": sort}
    values["document"] = document

    def link(**changes: str) -> str:
        """Return the address of this page with other filters."""
        return "?" + urlencode({name: value for name, value in {**values, **changes}.items() if value})

    return render(
        request,
        "deployments.html",
        tab="Deployments",
        rows=[(row, strip_chart(row.bars)) for row in rows],
        count=len(matches),
        candidates=len(candidates),
        total=len(views),
        counts={name: number for name, number in count_states(candidates).items() if number or name == state},
        tags=sorted({label for view in views for label in view.tags})[:_TAGS],
        documents=sorted({view.document for view in views if view.matrix} | {document} - {""})[:_DOCUMENTS],
        filters=values,
        link=link,
        sort=sort or "problems",
        syncs=SYNCS,
        healths=HEALTHS,
        page=page,
        pages=pages,
        filter_problems=filters.problems,
    )
