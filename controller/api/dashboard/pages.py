"""The pages of the dashboard, one function each: read a view, put it into its template."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from controller.api.dashboard.attention_items import grouped
from controller.api.dashboard.charts import stage_bars, strip_chart, timeline
from controller.api.dashboard.query_params import Filters
from controller.api.dashboard.run_history_chart import history_chart
from controller.api.dashboard.templating import render
from controller.api.http.responses import dependencies_of
from controller.api.http.routes.deployments import NAME, matching
from controller.api.http.routes.reconcile import status_of
from controller.errors import ControllerError, NotFoundError
from controller.model.findings import Severity
from controller.model.runs import RunState, Trigger
from controller.model.status import EventSeverity, InventoryEntry
from controller.queries.deployment_cache import DeploymentCache
from controller.queries.deployment_details import DeploymentDetail, show_deployment
from controller.queries.deployment_rows import deployment_row
from controller.queries.deployments import Health, Sync, build_entry, fires_after
from controller.queries.events import list_events
from controller.queries.fire_calendar import FireCalendar, fire_calendar
from controller.queries.overview import overview
from controller.queries.restore import DeletedDeployment, find_deleted
from controller.queries.runs import RunView, list_runs, page_of_runs, stored_states
from controller.reconcile.preview import Preview
from controller.store import inventory, occurrences
from controller.store import runs as run_store
from controller.store.events import EventFilter
from controller.store.run_search import RunFilter

router = APIRouter()

ROWS = 50
STRIP = 20
HISTORY = 60
LATEST = 8
SYNCS = [one.value for one in Sync]
HEALTHS = [one.value for one in Health]
STATES = [one.value for one in RunState if one is not RunState.LAUNCHING]
TRIGGERS = [one.value for one in Trigger]
SEVERITIES = [one.value for one in EventSeverity]
Cursor = Annotated[str | None, Query(pattern="^([0-9a-f-]{36})?$")]


@router.get("/")
def home(request: Request) -> Response:
    """What a person has to know in ten seconds."""
    parts = dependencies_of(request)
    now = parts.clock.now()
    views, future = request.app.state.board.deployments(), request.app.state.board.upcoming()
    with parts.store.read() as tx:
        found = overview(tx, views, now, future)
        counts = run_store.counts(tx)
    waiting = sum(counts.get(state, 0) for state in (RunState.PENDING, RunState.LAUNCHING, RunState.RETRYING))
    return render(
        request,
        "overview.html",
        tab="Overview",
        view=found,
        attention=grouped(found.attention),
        chart=timeline(found.slots, now),
        running=counts.get(RunState.RUNNING, 0),
        waiting=waiting,
    )


@router.get("/deployments")
def deployments(
    request: Request,
    search: Annotated[str, Query(max_length=200)] = "",
    tag: Annotated[str, Query(max_length=200)] = "",
    sync: Annotated[str, Query(max_length=20)] = "",
    health: Annotated[str, Query(max_length=20)] = "",
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
) -> Response:
    """All deployments, problems first."""
    board: DeploymentCache = request.app.state.board
    every = board.deployments()
    filters = Filters(request, ("search", "tag", "sync", "health", "page"))
    sync, health = filters.one_of("sync", SYNCS, sync), filters.one_of("health", HEALTHS, health)
    found = matching(
        every,
        search=search,
        tag=tag or None,
        sync=Sync(sync) if sync else None,
        health=Health(health) if health else None,
    )
    pages = max(1, -(-len(found) // ROWS))
    page = filters.page(page, pages)
    shown = found[(page - 1) * ROWS : page * ROWS]
    with dependencies_of(request).store.read() as tx:
        found_rows = [deployment_row(tx, view, board.schedules(view.name), STRIP) for view in shown]
    return render(
        request,
        "deployments.html",
        tab="Deployments",
        rows=[(row, strip_chart(row.bars)) for row in found_rows],
        count=len(found),
        total=len(every),
        tags=sorted({one for view in every for one in view.tags})[:200],
        asked={"search": search, "tag": tag, "sync": sync, "health": health},
        syncs=SYNCS,
        healths=HEALTHS,
        page=page,
        pages=pages,
        odd=filters.odd,
    )


@router.get("/deployments/{name}")
def deployment(request: Request, name: Annotated[str, Path(pattern=NAME)]) -> Response:
    """Everything about one, and the form that runs it; of one that left, how it comes back."""
    parts = dependencies_of(request)
    now = parts.clock.now()
    with parts.store.read() as tx:
        try:
            view = show_deployment(tx, name, now)
        except NotFoundError:
            gone = find_deleted(tx, name)
            if gone is None:
                raise
            return _gone(request, gone, list_runs(tx, RunFilter(deployment=name), now, limit=LATEST))
        entry = inventory.find(tx, name)
        history = list_runs(tx, RunFilter(deployment=name), now, limit=HISTORY)
        ledger = occurrences.find_newest(tx, name, 12)
        events = list_events(tx, EventFilter(limit=10, about=name))
    return render(
        request,
        "deployment.html",
        tab="Deployments",
        view=view,
        entry=entry,
        fields=() if entry is None or view.revision is None else parts.fields.locate(entry, view.revision),
        runs=history[:LATEST],
        chart=history_chart(history, now),
        calendar=_calendar(view, entry, now),
        occurrences=ledger,
        events=events,
        form=parts.parameters.form(name),
        zone_of=name,
    )


@router.get("/runs")
def runs(
    request: Request,
    deployment: Annotated[str, Query(max_length=63)] = "",
    state: Annotated[str, Query(max_length=20)] = "",
    trigger: Annotated[str, Query(max_length=20)] = "",
    tag: Annotated[str, Query(max_length=200)] = "",
    revision: Annotated[str, Query(max_length=250)] = "",
    before: Cursor = None,
) -> Response:
    """Runs, newest first."""
    filters = Filters(request, ("deployment", "state", "trigger", "tag", "revision", "before"))
    state, trigger = filters.one_of("state", STATES, state), filters.one_of("trigger", TRIGGERS, trigger)
    wanted = RunFilter(
        deployment=deployment or None,
        states=stored_states(RunState(state)) if state else None,
        trigger=trigger or None,
        tag=tag or None,
        revision=revision or None,
    )
    parts = dependencies_of(request)
    with parts.store.read() as tx:
        found, older = page_of_runs(tx, wanted, parts.clock.now(), limit=ROWS, before=before or None)
    asked = {"deployment": deployment, "state": state, "trigger": trigger, "tag": tag, "revision": revision}
    return render(
        request,
        "runs.html",
        tab="Runs",
        runs=found,
        older=older,
        before=before,
        asked=asked,
        triggers=TRIGGERS,
        states=STATES,
        odd=filters.odd,
    )


@router.get("/source")
def source(request: Request) -> Response:
    """What git says, what is applied of it, and what waits for somebody."""
    found = status_of(request)
    plan, problem = (None, None) if found.withheld is None else _plan(request)
    return render(
        request,
        "source.html",
        tab="Source",
        view=found,
        passes=[(one, stage_bars(one.stages)) for one in found.passes],
        total=len(found.deployments),
        plan=plan,
        problem=problem,
        errors=[one for one in found.source.findings if one.severity is Severity.ERROR][:100],
        warnings=[one for one in found.source.findings if one.severity is not Severity.ERROR][:100],
    )


@router.get("/events")
def events(
    request: Request,
    about: Annotated[str, Query(max_length=100)] = "",
    severity: Annotated[str, Query(max_length=20)] = "",
    before: Annotated[int | None, Query(ge=0, le=1 << 62)] = None,
) -> Response:
    """What happened, newest first."""
    filters = Filters(request, ("about", "severity", "before"))
    severity = filters.one_of("severity", SEVERITIES, severity)
    wanted = EventFilter(
        limit=ROWS + 1,
        before=before,
        about=about or None,
        severity=EventSeverity(severity) if severity else None,
    )
    with dependencies_of(request).store.read() as tx:
        found = list_events(tx, wanted)
    return render(
        request,
        "events.html",
        tab="Events",
        events=found[:ROWS],
        older=found[ROWS - 1].id if len(found) > ROWS else None,
        before=before,
        asked={"about": about, "severity": severity},
        severities=SEVERITIES,
        odd=filters.odd,
    )


def _gone(request: Request, gone: DeletedDeployment, runs: list[RunView]) -> Response:
    """The page of a deployment that left the repository: not found, but known."""
    document = dependencies_of(request).document(gone.entry)
    return render(request, "gone.html", tab="Deployments", status=404, gone=gone, document=document, runs=runs)


def _plan(request: Request) -> tuple[Preview | None, str | None]:
    try:
        return dependencies_of(request).plan(None), None
    except ControllerError as error:
        return None, error.message


def _calendar(view: DeploymentDetail, entry: InventoryEntry | None, now: datetime) -> FireCalendar | None:
    """When it fires; None where nothing can."""
    deployment = None if entry is None else build_entry(entry)
    after = fires_after(view.hold, now)
    if deployment is None or not deployment.schedules or deployment.suspend or after is None:
        return None
    return fire_calendar(deployment.schedules, now, after)
