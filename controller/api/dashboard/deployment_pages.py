"""The page of one deployment, in tabs of which each has a URL, and the page of a deleted one."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import Path, Query, Request
from starlette.responses import Response

from controller.api.dashboard.density_chart import density_chart
from controller.api.dashboard.deployment_notifications import describe_notifications
from controller.api.dashboard.pages import Filters
from controller.api.dashboard.run_history_chart import history_chart
from controller.api.dashboard.templating import render
from controller.api.http.responses import Dependencies, dependencies_of
from controller.api.http.routers import page_router
from controller.errors import NotFoundError
from controller.model.commits import commit_id
from controller.model.deployments import Deployment
from controller.model.names import NAME_PATTERN
from controller.model.runs import Run
from controller.model.status import InventoryEntry
from controller.queries.deployment_deadlines import list_deadlines
from controller.queries.deployment_details import DeploymentDetail, show_deployment
from controller.queries.deployments import build_entry
from controller.queries.events import list_events
from controller.queries.fire_calendar import fire_calendar, fire_density
from controller.queries.next_starts import fires_after
from controller.queries.restore import DeletedDeployment, find_deleted
from controller.queries.run_history import list_history, list_parameter_steps
from controller.queries.runs import list_runs
from controller.records import dataclass
from controller.store import Transaction, commits, inventory, run_statistics
from controller.store.events import EventFilter
from controller.store.run_search import RunFilter

router = page_router()

TABS = ("runs", "schedule", "definition", "parameters", "events")
CHART_RUNS = 60
LISTED_RUNS = 25
RECENT_RUNS = 10
COMPARED_RUNS = 50
EVENTS = 50
PERIODS = (timedelta(days=1), timedelta(days=7), timedelta(days=30))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    """The deployment of a request: `entry` is None if it has never been valid, `declared` if it can't be built."""

    dependencies: Dependencies
    view: DeploymentDetail
    entry: InventoryEntry | None
    declared: Deployment | None
    now: datetime


@router.get("/deployments/{name}")
def deployment(
    request: Request,
    name: Annotated[str, Path(pattern=NAME_PATTERN)],
    tab: Annotated[str, Query(max_length=20)] = "",
    like: Annotated[str, Query(max_length=100)] = "",
) -> Response:
    """One deployment: its state, one tab, and the forms of its actions. A deleted one gets a page of its own.

    The run form is filled in with the parameters of the run `like`.
    """
    dependencies = dependencies_of(request)
    now = dependencies.clock.now()
    filters = Filters(request, ("tab", "like"))
    tab, like = filters.one_of("tab", TABS, tab) or TABS[0], filters.run(like)
    with dependencies.store.read() as tx:
        try:
            view = show_deployment(tx, name, now)
        except NotFoundError:
            deleted = find_deleted(tx, name)
            if deleted is None:
                raise
            return _deleted_page(request, deleted, list_runs(tx, RunFilter(deployment=name), now, limit=RECENT_RUNS))
        entry = inventory.find(tx, name)
        subject = _Subject(
            dependencies=dependencies,
            view=view,
            entry=entry,
            declared=None if entry is None else build_entry(entry),
            now=now,
        )
        limit = CHART_RUNS if tab == "runs" else RECENT_RUNS
        runs = list_runs(tx, RunFilter(deployment=name), now, limit=limit)
        content = _CONTENTS[tab](tx, subject, runs)
        declared = subject.declared
        deadlines = () if declared is None else list_deadlines(tx, declared, view.next_fire_time)
    return render(
        request,
        "deployment.html",
        tab="Deployments",
        tabs=TABS,
        current=tab,
        view=view,
        entry=entry,
        newest=runs[0] if runs else None,
        recent=runs[:RECENT_RUNS],
        like=like,
        deadlines=deadlines,
        overlap=None if declared is None else declared.overlap,
        catchup=None if declared is None else declared.catchup.policy,
        form=dependencies.operations.parameters.form(name, now),
        filter_problems=filters.problems,
        zone_of=name,
        **content,
    )


def _runs(tx: Transaction, subject: _Subject, runs: list[Run]) -> dict[str, Any]:
    listed = runs[:LISTED_RUNS]
    is_complete = len(runs) <= LISTED_RUNS
    rows = [] if subject.entry is None else list_history(tx, subject.view.name, listed, is_complete=is_complete)
    by_sha = commits.find_all(tx, {run.revision for run in listed})
    return {
        "chart": history_chart(runs, subject.now),
        "reliability": run_statistics.reliability(tx, subject.view.name, subject.now, PERIODS),
        "rows": rows,
        "commits": {run.revision: by_sha.get(commit_id(run.revision)) for run in listed},
        "now": subject.now,
    }


def _schedule(_tx: Transaction, subject: _Subject, _runs: list[Run]) -> dict[str, Any]:
    """Return the calendar, or the density of the fire times if a day has too many; neither if no schedule can fire."""
    declared = subject.declared
    after = fires_after(subject.view.hold, subject.now)
    if declared is None or not declared.schedules or declared.suspend or after is None:
        return {"calendar": None, "density": None}
    calendar = fire_calendar(declared.schedules, subject.now, after)
    density = fire_density(declared.schedules, after) if calendar.is_dense else None
    strip = None if density is None else density_chart(density, calendar.timezone)
    return {"calendar": calendar, "density": strip}


def _definition(_tx: Transaction, subject: _Subject, _runs: list[Run]) -> dict[str, Any]:
    entry, revision = subject.entry, subject.view.revision
    if entry is None or revision is None:
        return {"fields": (), "document": None}
    return {
        "fields": subject.dependencies.fields.locate(entry, revision),
        "document": subject.dependencies.document(entry),
    }


def _parameters(tx: Transaction, subject: _Subject, _runs: list[Run]) -> dict[str, Any]:
    steps, count = list_parameter_steps(tx, subject.view.name, COMPARED_RUNS)
    return {"steps": steps, "compared": count}


def _events(tx: Transaction, subject: _Subject, _runs: list[Run]) -> dict[str, Any]:
    name, settings = subject.view.name, subject.dependencies.operations.notify_settings()
    return {
        "events": list_events(tx, EventFilter(limit=EVENTS, about=name)),
        **describe_notifications(tx, settings, name, subject.declared),
    }


_CONTENTS: dict[str, Callable[[Transaction, _Subject, list[Run]], dict[str, Any]]] = {
    "runs": _runs,
    "schedule": _schedule,
    "definition": _definition,
    "parameters": _parameters,
    "events": _events,
}


def _deleted_page(request: Request, deleted: DeletedDeployment, runs: list[Run]) -> Response:
    """Render the page of a deleted deployment, with status 404."""
    document = dependencies_of(request).document(deleted.entry)
    return render(request, "gone.html", tab="Deployments", status=404, deleted=deleted, document=document, runs=runs)
