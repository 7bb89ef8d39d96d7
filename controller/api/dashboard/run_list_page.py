"""The Runs page: the runs that match the filters, with their number, success rate and a chart of their durations."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query, Request
from starlette.responses import Response

from controller.api.dashboard.pages import ROWS, Cursor, Filters, similar_names
from controller.api.dashboard.scatter_chart import scatter_chart
from controller.api.dashboard.templating import render
from controller.api.http.responses import dependencies_of
from controller.api.http.routers import page_router
from controller.errors import ScheduleError
from controller.model.names import MAX_NAME
from controller.model.runs import ListedRun, RunState, Trigger
from controller.queries.deployment_cache import DeploymentCache
from controller.queries.run_list import RunSummary, add_details, longest_runs, summarize_matches
from controller.queries.runs import page_of_runs, public_runs, stored_states
from controller.records import dataclass
from controller.schedules import parse_moment
from controller.store import Transaction
from controller.store.run_search import RunFilter

router = page_router()

RANGES = {"": "all time", "24h": "last 24 hours", "7d": "last 7 days", "30d": "last 30 days"}
STATES = [state.value for state in RunState if state not in (RunState.LAUNCHING, RunState.SCHEDULED)]
TRIGGERS = [trigger.value for trigger in Trigger]
SORTS = ("newest", "longest")
MAX_COUNT = 10_000
"""The number of runs up to which they are counted, and can be selected together."""
_TAGS = 200
_FILTERS = (
    "deployment",
    "state",
    "trigger",
    "tag",
    "revision",
    "backfill",
    "range",
    "since",
    "until",
    "sort",
    "before",
)
_LABELS = {"revision": "commit", "since": "from", "until": "to"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """An active filter, and the address of the page without it. `moment` is a time that follows the text."""

    text: str
    without: str
    moment: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listing:
    """The rows, how older ones are found, and the summary of all matches."""

    rows: Sequence[ListedRun]
    older: str | None
    summary: RunSummary


@router.get("/runs")
def runs(
    request: Request,
    deployment: Annotated[str, Query(max_length=MAX_NAME)] = "",
    state: Annotated[tuple[str, ...], Query(max_length=20)] = (),
    trigger: Annotated[str, Query(max_length=20)] = "",
    tag: Annotated[str, Query(max_length=200)] = "",
    revision: Annotated[str, Query(max_length=250)] = "",
    backfill: Annotated[str, Query(max_length=36)] = "",
    before: Cursor = None,
) -> Response:
    """Runs, newest first, or the longest of the newest 500."""
    filters = Filters(request, _FILTERS)
    parameters = request.query_params
    dependencies = dependencies_of(request)
    now = dependencies.clock.now()
    states = [value for text in dict.fromkeys(state) if (value := filters.one_of("state", STATES, text))]
    trigger = filters.one_of("trigger", TRIGGERS, trigger)
    sort = filters.one_of("sort", SORTS, parameters.get("sort", "")) or SORTS[0]
    span = filters.one_of("range", [*RANGES, "custom"], parameters.get("range", "")).replace("custom", "")
    since_text = span or parameters.get("since", "")
    since, until = (_moment(filters, text, now) for text in (since_text, parameters.get("until", "")))
    values: dict[str, str | list[str]] = {
        "deployment": deployment,
        "state": states,
        "trigger": trigger,
        "tag": tag,
        "revision": revision,
        "since": since_text if since else "",
        "until": parameters.get("until", "") if until else "",
    }
    with dependencies.store.read() as tx:
        values["backfill"] = filters.backfill(tx, backfill)
        listing = _list(tx, _run_filter(values, since, until), now, sort=sort, before=before or None)
    pairs = _pairs(values)
    deployment_cache: DeploymentCache = request.app.state.deployment_cache
    views = deployment_cache.deployments()
    return render(
        request,
        "runs.html",
        tab="Runs",
        runs=listing.rows,
        summary=listing.summary,
        chart=scatter_chart(listing.summary, since, until or now),
        older=listing.older,
        before=before,
        filters=values,
        query=urlencode(pairs),
        chips=_chips(pairs, {"since": since, "until": until}),
        sort=sort,
        names=similar_names(request, deployment),
        tags=sorted({label for view in views for label in view.tags})[:_TAGS],
        triggers=TRIGGERS,
        states=STATES,
        ranges=RANGES,
        max_count=MAX_COUNT,
        filter_problems=filters.problems,
    )


def _run_filter(values: Mapping[str, Any], since: datetime | None, until: datetime | None) -> RunFilter:
    criteria: dict[str, Any] = {
        name: values[name] or None for name in ("deployment", "trigger", "tag", "revision", "backfill")
    }
    states = [stored for text in values["state"] for stored in stored_states(RunState(text))]
    return RunFilter(states=states or None, since=since, until=until, **criteria)


def _list(tx: Transaction, run_filter: RunFilter, now: datetime, *, sort: str, before: str | None) -> _Listing:
    summary = summarize_matches(tx, run_filter, now)
    if sort == "longest":
        matches, older = public_runs(tx, longest_runs(tx, summary.points, ROWS), now), None
    else:
        matches, older = page_of_runs(tx, run_filter, now, limit=ROWS, before=before)
    return _Listing(rows=add_details(tx, matches), older=older, summary=summary)


def _moment(filters: Filters, text: str, now: datetime) -> datetime | None:
    """Return the time that the text describes; None if it is empty or invalid."""
    if not text:
        return None
    try:
        return parse_moment(text, now, UTC)
    except ScheduleError as error:
        filters.problems.append(f"{error.message[:1].upper()}{error.message[1:]}; {error.hint}.")
        return None


def _pairs(values: Mapping[str, str | Sequence[str]]) -> list[tuple[str, str]]:
    """Return the active filters as they are in the address."""
    return [
        (name, text)
        for name, value in values.items()
        for text in ([value] if isinstance(value, str) else value)
        if text
    ]


def _chips(pairs: Sequence[tuple[str, str]], moments: Mapping[str, datetime | None]) -> list[Chip]:
    chips = []
    for pair in pairs:
        name, value = pair
        without = urlencode([other for other in pairs if other != pair])
        label = _LABELS.get(name, name)
        if name == "since" and value in RANGES:
            chips.append(Chip(text=RANGES[value], without=without))
        elif name in moments and value[:4].isdigit():
            chips.append(Chip(text=f"{label}:", moment=moments[name], without=without))
        else:
            chips.append(Chip(text=f"{label}: {_brief(name, value)}", without=without))
    return chips


def _brief(name: str, value: str) -> str:
    if name == "backfill":
        return value[-12:]
    return value.replace("_", " ") if name == "state" else value
