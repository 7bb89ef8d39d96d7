"""Deployments: all, one, when it fires, what became of its due times, what it takes; run, hold, resume, restore."""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from controller.api.http.pagination import Cursor, Limit, Page, begin, page, text_like
from controller.api.http.responses import (
    LINE,
    IdempotencyKey,
    Moment,
    Triggered,
    answer,
    answers,
    author_of,
    aware,
    dependencies_of,
    in_utf8,
    tagged,
    triggered,
)
from controller.api.http.strict_json import StrictRoute
from controller.errors import UsageError
from controller.model.runs import Occurrence
from controller.queries.deployment_details import DeploymentDetail, coming_fire_times, show_deployment
from controller.queries.deployments import DeploymentView, Health, Sync, sort_rank
from controller.queries.parameter_form import FormView, ParameterFault
from controller.queries.restore import last_entry
from controller.queries.serialization import utc
from controller.runs.operations import Backfill
from controller.store import occurrences as ledger
from controller.store.name_lookup import is_recorded, not_active

router = APIRouter(prefix="/api/v1/deployments", tags=["deployments"], route_class=StrictRoute)

NAME = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
Name = Annotated[str, Path(json_schema_extra={"pattern": NAME})]
Found = TypeVar("Found")


class Order(StrEnum):
    """Which deployments come first."""

    PROBLEMS = "problems"
    NAME = "name"


class Call(BaseModel):
    """Parameters, laid over those that git gives."""

    model_config = ConfigDict(extra="forbid")
    parameters: dict[str, Any] = Field(default_factory=dict)


class HoldRequest(BaseModel):
    """Why, and until when; without `until` until somebody resumes it."""

    model_config = ConfigDict(extra="forbid")
    reason: str = Field(json_schema_extra=LINE)
    until: Moment | None = None


class BackfillRequest(BaseModel):
    """The due times of this range that have no run; the last `max` of them. `dry_run`: only say which."""

    model_config = ConfigDict(extra="forbid")
    since: Moment
    until: Moment
    max: int = Field(default=100, ge=1, le=1000)
    dry_run: bool = False


class Backfilled(BaseModel):
    """What was queued, for which times; how many had a run already, and how many earlier ones were left out."""

    run_ids: list[str]
    times: list[datetime]
    already_run: int
    left_out: int


class FireTimes(BaseModel):
    """As `controller next -o json`."""

    fire_times: list[datetime]


class Faults(BaseModel):
    """What is wrong with parameters; nothing if the list is empty."""

    errors: list[ParameterFault]


class Document(BaseModel):
    """The last good document: as a mapping, and as its author wrote it if `is_whole`."""

    document: dict[str, Any]
    text: str
    is_whole: bool
    file: str
    revision: str


@router.get("", response_model=Page[DeploymentView], summary="All deployments, problems first")
def deployments(
    request: Request,
    search: Annotated[str, Query(max_length=200)] = "",
    tag: Annotated[str | None, Query(max_length=200)] = None,
    sync: Sync | None = None,
    health: Health | None = None,
    order: Order = Order.PROBLEMS,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """Those that match all questions; `search` is a part of name, flow, description or tag.

    By `name` each is on one page exactly; with `problems` first one that changes meanwhile may move past the pages.
    """
    found = matching(request.app.state.board.deployments(), search=search, tag=tag, sync=sync, health=health)
    key = _PLACES[order]
    if order is Order.NAME:
        found.sort(key=key)
    last = begin(request, cursor, text_like(r"[0-9]\..+" if order is Order.PROBLEMS else ".+"))
    after = [view for view in found if last is None or key(view) > last]
    return answer(request, page(request, after[: limit + 1], limit, key))


def matching(
    views: list[DeploymentView], *, search: str, tag: str | None, sync: Sync | None, health: Health | None
) -> list[DeploymentView]:
    """The deployments that match all questions."""
    wanted = search.strip().lower()
    return [
        view
        for view in views
        if (tag is None or tag in view.tags)
        and (sync is None or view.sync is sync)
        and (health is None or view.health is health)
        and (not wanted or wanted in f"{view.name} {view.flow} {view.description} {' '.join(view.tags)}".lower())
    ]


@router.get("/{name}", response_model=DeploymentDetail, summary="Everything about one deployment")
def deployment(request: Request, name: Name) -> Response:
    """As `controller deployments show -o json` has it."""
    return _show(request, name)


@router.get("/{name}/fire-times", response_model=FireTimes, summary="Its next fire times")
def upcoming(
    request: Request,
    name: Name,
    limit: Annotated[int, Query(ge=1, le=1000)] = 10,
    after: Moment | None = None,
) -> Response:
    """Strictly after `after`, by default now, and after the end of its hold; none while it is suspended."""
    parts = dependencies_of(request)
    now = parts.clock.now()
    with parts.store.read() as tx:
        found = coming_fire_times(tx, name, now, after=aware(after) or now, count=limit)
    return answer(request, {"fire_times": found})


@router.get("/{name}/occurrences", response_model=Page[Occurrence], summary="Its due times and what became of them")
def occurrences(request: Request, name: Name, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """Newest first."""
    last = aware(begin(request, cursor, datetime.fromisoformat))
    with dependencies_of(request).store.read() as tx:
        found = ledger.find_newest(tx, name, limit + 1, before=last)
        if not found and not is_recorded(tx, name):
            raise not_active(tx, name)
    return answer(request, page(request, found, limit, lambda one: utc(one.scheduled_for)))


@router.get("/{name}/form", response_model=FormView, summary="What its flow takes")
def form(request: Request, name: Name) -> Response:
    """Read from the signature in the text of the Python file; no code of a flow is loaded."""
    return answer(request, _in_force(request, name, dependencies_of(request).parameters.form(name)))


@router.post("/{name}/check", response_model=Faults, summary="Check parameters without running anything")
def check(request: Request, name: Name, call: Call) -> Response:
    """What is wrong with these parameters, laid over those of git."""
    return answer(
        request, {"errors": _in_force(request, name, dependencies_of(request).parameters.faults(name, call.parameters))}
    )


@router.get(
    "/{name}/document",
    response_model=Document,
    summary="Its last good document, to be committed again",
    responses=answers("text/yaml"),
)
def document(request: Request, name: Name) -> Response:
    """Also of a deployment that left the repository in the last 30 days; nothing is in force until it is committed."""
    parts = dependencies_of(request)
    with parts.store.read() as tx:
        entry = last_entry(tx, name)
    found = parts.document(entry)
    if "text/yaml" in request.headers.get("accept", ""):
        return tagged(request, found.text.encode(), "text/yaml; charset=utf-8")
    whole = {"document": found.document, "text": found.text, "is_whole": found.is_whole}
    return answer(request, {**whole, "file": entry.file, "revision": entry.revision})


@router.post("/{name}/runs", response_model=Triggered, status_code=201, summary="Run it now")
def trigger(
    request: Request,
    name: Name,
    call: Call,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """The same `Idempotency-Key` gives the same run. 422 for parameters that the flow does not take."""
    key, author = in_utf8(idempotency_key), author_of(request)
    made = dependencies_of(request).operations.trigger(name, call.parameters, key=key, author=author)
    return answer(request, triggered(made), status=201)


@router.post("/{name}/backfill", response_model=Backfilled, summary="Run the due times of a past range")
def backfill(request: Request, name: Name, asked: BackfillRequest) -> Response:
    """After everything else that waits; one after another, unless `overlap` is `allow`."""
    wanted = Backfill(
        deployment=name, since=aware(asked.since), until=aware(asked.until), most=asked.max, dry_run=asked.dry_run
    )
    done = dependencies_of(request).operations.backfill(wanted, author=author_of(request))
    made = {"run_ids": [run.id for run in done.runs], "times": done.times}
    return answer(request, {**made, "already_run": done.known, "left_out": done.left_out})


@router.post("/{name}/hold", response_model=DeploymentDetail, summary="Hold its schedules")
def hold(request: Request, name: Name, asked: HoldRequest) -> Response:
    """They do not fire until it is resumed, whatever git says."""
    dependencies_of(request).operations.hold(name, asked.reason, aware(asked.until), author=author_of(request))
    return _show(request, name)


@router.post("/{name}/resume", response_model=DeploymentDetail, summary="End its hold")
def resume(request: Request, name: Name) -> Response:
    """409 if it is not held."""
    dependencies_of(request).operations.resume(name, author=author_of(request))
    return _show(request, name)


def _show(request: Request, name: str) -> Response:
    parts = dependencies_of(request)
    with parts.store.read() as tx:
        return answer(request, show_deployment(tx, name, parts.clock.now()))


def _in_force(request: Request, name: str, found: Found | None) -> Found:
    if found is not None:
        return found
    with dependencies_of(request).store.read() as tx:
        show_deployment(tx, name, dependencies_of(request).clock.now())
    raise UsageError(f"{name} is not in force: it was never valid.")


_PLACES: dict[Order, Callable[[DeploymentView], str]] = {
    Order.PROBLEMS: lambda view: f"{sort_rank(view)}.{view.name}",
    Order.NAME: lambda view: view.name,
}
