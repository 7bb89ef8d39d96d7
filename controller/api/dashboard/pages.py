"""The pages of deployments, runs and events. Each function runs its queries and renders a template."""

from collections.abc import Collection, Iterable
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from controller.api.dashboard.charts import strip_chart
from controller.api.dashboard.templating import render
from controller.api.http.responses import dependencies_of
from controller.model.status import EventSeverity
from controller.queries.deployment_cache import DeploymentCache
from controller.queries.deployment_states import DeploymentState, deployment_state
from controller.queries.deployments import Health, Sync, deployment_row, matching
from controller.queries.events import list_events
from controller.store import Transaction, backfills
from controller.store.events import EventFilter

router = APIRouter()

ROWS = 50
STRIP_RUNS = 20
HISTORY_RUNS = 60
LATEST_RUNS = 8
DUE_TIMES = 12
SYNCS = [sync.value for sync in Sync]
DEPLOYMENT_STATES = [state.value for state in DeploymentState]
HEALTHS = [health.value for health in Health]
SEVERITIES = [severity.value for severity in EventSeverity]
Cursor = Annotated[str | None, Query(pattern="^([0-9a-f-]{36})?$")]


class Filters:
    """The filters of one request; `problems` has a sentence for each filter that was ignored.

    An unknown or invalid filter, for example in an old bookmark, is not an error: the page is shown without it.
    """

    def __init__(self, request: Request, names: Collection[str]) -> None:
        self.problems = [
            f"Unknown filter {name!r}." for name in dict.fromkeys(request.query_params) if name not in names
        ]

    def one_of(self, name: str, choices: Iterable[str], value: str) -> str:
        """Return the value if it is one of the choices, else an empty string."""
        allowed = list(choices)
        if value and value not in allowed:
            self.problems.append(f"Unknown {name} {value!r}; use one of {', '.join(allowed)}.")
            return ""
        return value

    def backfill(self, tx: Transaction, text: str) -> str:
        """Return the id of the backfill whose id begins or ends with this text, else an empty string."""
        matches = backfills.find_by_prefix(tx, text) if text else []
        if text and len(matches) != 1:
            self.problems.append(f"Unknown backfill {text!r}.")
        return matches[0].id if len(matches) == 1 else ""

    def page(self, number: int, pages: int) -> int:
        """Return the page number, or that of the last page if there are fewer pages."""
        if number > pages:
            self.problems.append(f"Page {number} does not exist; this is the last page.")
        return min(number, pages)


@router.get("/deployments")
def deployments(
    request: Request,
    search: Annotated[str, Query(max_length=200)] = "",
    tag: Annotated[str, Query(max_length=200)] = "",
    sync: Annotated[str, Query(max_length=20)] = "",
    health: Annotated[str, Query(max_length=20)] = "",
    state: Annotated[str, Query(max_length=20)] = "",
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
) -> Response:
    """All deployments, problems first."""
    deployment_cache: DeploymentCache = request.app.state.deployment_cache
    views = deployment_cache.deployments()
    filters = Filters(request, ("search", "tag", "sync", "health", "state", "page"))
    sync, health = filters.one_of("sync", SYNCS, sync), filters.one_of("health", HEALTHS, health)
    state = filters.one_of("state", DEPLOYMENT_STATES, state)
    matches = matching(
        [view for view in views if not state or deployment_state(view) == state],
        search=search,
        tag=tag or None,
        sync=Sync(sync) if sync else None,
        health=Health(health) if health else None,
    )
    pages = max(1, -(-len(matches) // ROWS))
    page = filters.page(page, pages)
    visible = matches[(page - 1) * ROWS : page * ROWS]
    with dependencies_of(request).store.read() as tx:
        rows = [deployment_row(tx, view, deployment_cache.schedules(view.name), STRIP_RUNS) for view in visible]
    return render(
        request,
        "deployments.html",
        tab="Deployments",
        rows=[(row, strip_chart(row.bars)) for row in rows],
        count=len(matches),
        total=len(views),
        tags=sorted({label for view in views for label in view.tags})[:200],
        filters={"search": search, "tag": tag, "sync": sync, "health": health, "state": state},
        syncs=SYNCS,
        healths=HEALTHS,
        states=DEPLOYMENT_STATES,
        page=page,
        pages=pages,
        filter_problems=filters.problems,
    )


@router.get("/events")
def events(
    request: Request,
    about: Annotated[str, Query(max_length=100)] = "",
    severity: Annotated[str, Query(max_length=20)] = "",
    before: Annotated[int | None, Query(ge=0, le=1 << 62)] = None,
) -> Response:
    """Events, newest first."""
    filters = Filters(request, ("about", "severity", "before"))
    severity = filters.one_of("severity", SEVERITIES, severity)
    query = EventFilter(
        limit=ROWS + 1,
        before=before,
        about=about or None,
        severity=EventSeverity(severity) if severity else None,
    )
    with dependencies_of(request).store.read() as tx:
        rows = list_events(tx, query)
    return render(
        request,
        "events.html",
        tab="Events",
        events=rows[:ROWS],
        older=rows[ROWS - 1].id if len(rows) > ROWS else None,
        before=before,
        filters={"about": about, "severity": severity},
        severities=SEVERITIES,
        filter_problems=filters.problems,
    )
