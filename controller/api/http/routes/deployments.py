"""The endpoints of deployments: list, details, fire times, due times, form, document; run, backfill, hold, resume."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, TypeVar

from fastapi import Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from controller.api.http.documented_route import ResponseModel
from controller.api.http.pagination import Cursor, Limit, Page, make_page, read_cursor, text_parser
from controller.api.http.responses import (
    LINE,
    IdempotencyKey,
    Moment,
    Triggered,
    author_of,
    aware,
    decode_header,
    dependencies_of,
    json_response,
    response_with_etag,
    text_responses,
    triggered_json,
)
from controller.api.http.routers import api_router
from controller.errors import UsageError
from controller.model.backfills import CodeVersion, Redo
from controller.model.names import NAME_PATTERN, name_order
from controller.model.runs import Occurrence
from controller.model.triggers import After
from controller.operations import backfills
from controller.operations.holds import hold_deployment, resume_deployment
from controller.operations.trigger import trigger_run
from controller.queries.deployment_details import DeploymentDetail, coming_fire_times, find_deployment, show_deployment
from controller.queries.deployment_list import DeploymentSort, matching
from controller.queries.deployments import DeploymentView, Health, Sync, sort_key
from controller.queries.field_locations import DeclaredField
from controller.queries.occurrences import list_occurrences
from controller.queries.parameter_form import FormView, ParameterFault
from controller.queries.restore import last_entry
from controller.queries.serialization import utc
from controller.store import inventory

router = api_router("/api/v1/deployments", "deployments")

Name = Annotated[str, Path(json_schema_extra={"pattern": NAME_PATTERN})]
Value = TypeVar("Value")


class DeploymentPage(Page[DeploymentView]):
    """One page of deployments. `total` is how many deployments match the filters."""

    total: int


class Call(BaseModel):
    """Parameters, merged over those in git."""

    model_config = ConfigDict(extra="forbid")
    parameters: dict[str, Any] = Field(default_factory=dict)


class TriggerRequest(Call):
    """Parameters, merged over those in git, and the due time to run; without one the run has none."""

    due_time: Moment | None = None


class HoldRequest(BaseModel):
    """The reason and end of a hold; without `until` the hold lasts until the deployment is resumed."""

    model_config = ConfigDict(extra="forbid")
    reason: str = Field(json_schema_extra=LINE)
    until: Moment | None = None


class BackfillRequest(BaseModel):
    """A range of due times to run: those without a run, and with `redo` also others. `until` defaults to now.

    `max` limits them to the latest ones. With `dry_run` they are only listed. `code` is what due times that had a run
    execute.
    """

    model_config = ConfigDict(extra="forbid")
    since: Moment
    until: Moment | None = None
    redo: Redo | None = None
    code: CodeVersion = CodeVersion.LATEST
    parameters: dict[str, Any] = Field(default_factory=dict)
    parallel: int | None = Field(default=None, ge=1, le=backfills.MAX_PARALLEL)
    max: int | None = Field(default=None, ge=1)
    dry_run: bool = False


class FireTimes(ResponseModel):
    """Fire times, as in `controller next -o json`. `waits` are the deployments that each due time waits for."""

    fire_times: list[datetime]
    waits: After | None


class Faults(ResponseModel):
    """Errors in parameters; the list is empty if they are valid."""

    errors: list[ParameterFault]


class Fields(ResponseModel):
    """The fields of the active version, in the order of the document."""

    items: list[DeclaredField]


class Document(ResponseModel):
    """The last valid document: as a mapping, and as text, which is the original text if `is_whole`."""

    document: dict[str, Any]
    text: str
    is_whole: bool
    file: str
    revision: str


@router.get("", response_model=DeploymentPage, summary="List deployments, problems first")
def deployments(  # noqa: PLR0913
    request: Request,
    search: Annotated[str, Query(max_length=200)] = "",
    tag: Annotated[str | None, Query(max_length=200)] = None,
    sync: Sync | None = None,
    health: Health | None = None,
    document: Annotated[str | None, Query(max_length=1000)] = None,
    order: DeploymentSort = DeploymentSort.PROBLEMS,
    limit: Limit = 100,
    cursor: Cursor = None,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> Response:
    """The deployments that match all filters. `search` is a part of the name, flow, description or a tag.

    `document` is a manifest (`deployments/sales.yaml`) or the place of one document in it (`deployments/sales.yaml:1`).
    The order `next` has the earliest start first, `last-run` the newest last run. The page begins at `offset`. In
    the order `name`, each deployment is on exactly one page. In the other orders, a deployment whose status changes
    between two requests may be skipped or repeated.
    """
    every = request.app.state.deployment_cache.deployments()
    views = matching(every, search=search, tag=tag, sync=sync, health=health, document=document)
    key = _SORT_KEYS[order]
    if order is not DeploymentSort.PROBLEMS:
        views.sort(key=key)
    last = read_cursor(request, cursor, text_parser(r"[0-9]\..+" if order is DeploymentSort.PROBLEMS else ".+"))
    after = views if last is None else [view for view in views if key(view) > last]
    page = make_page(request, after[offset : offset + limit + 1], limit, key)
    return json_response(request, {**page, "total": len(views)})


@router.get("/{name}", response_model=DeploymentDetail, summary="Get a deployment")
def deployment(request: Request, name: Name) -> Response:
    """The output of `controller deployments show -o json`."""
    return _show(request, name)


@router.get("/{name}/fields", response_model=Fields, summary="List the fields with the commits that changed them")
def fields(request: Request, name: Name) -> Response:
    """Each field of the active version with its value, its file and line, and the commit that last changed its lines.

    The commit comes from `git blame`; it is null if that is unknown, or would take more than two seconds.
    """
    dependencies = dependencies_of(request)
    with dependencies.store.read() as tx:
        entry = inventory.find(tx, name)
        revision = show_deployment(tx, name, dependencies.clock.now()).revision
    if entry is None or revision is None:
        return json_response(request, {"items": []})
    return json_response(request, {"items": dependencies.fields.locate(entry, revision)})


@router.get("/{name}/fire-times", response_model=FireTimes, summary="List the next fire times")
def upcoming(
    request: Request,
    name: Name,
    limit: Annotated[int, Query(ge=1, le=1000)] = 10,
    after: Moment | None = None,
) -> Response:
    """Fire times strictly after `after` (default: now), and after the end of a hold; none while suspended."""
    dependencies = dependencies_of(request)
    now = dependencies.clock.now()
    with dependencies.store.read() as tx:
        times = coming_fire_times(tx, name, now, after=aware(after) or now, count=limit)
        deployment = find_deployment(tx, name)
    return json_response(request, {"fire_times": times, "waits": None if deployment is None else deployment.gate})


@router.get("/{name}/occurrences", response_model=Page[Occurrence], summary="List due times and their outcomes")
def occurrences(request: Request, name: Name, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """Newest first."""
    last = aware(read_cursor(request, cursor, datetime.fromisoformat))
    with dependencies_of(request).store.read() as tx:
        rows = list_occurrences(tx, name, limit + 1, before=last)
    return json_response(request, make_page(request, rows, limit, lambda occurrence: utc(occurrence.scheduled_for)))


@router.get("/{name}/form", response_model=FormView, summary="Get the parameters of the flow")
def form(request: Request, name: Name) -> Response:
    """Names, types, defaults and choices, read from the source text of the flow; its code is not imported."""
    dependencies = dependencies_of(request)
    view = dependencies.operations.parameters.form(name, dependencies.clock.now())
    return json_response(request, _require_active(request, name, view))


@router.post("/{name}/check", response_model=Faults, summary="Check parameters without running anything")
def check(request: Request, name: Name, call: Call) -> Response:
    """Return the errors in these parameters, merged over those in git."""
    faults = dependencies_of(request).operations.parameters.faults(name, call.parameters)
    return json_response(request, {"errors": _require_active(request, name, faults)})


@router.get(
    "/{name}/document",
    response_model=Document,
    summary="Get the last valid document",
    responses=text_responses("text/yaml"),
)
def document(request: Request, name: Name) -> Response:
    """Also for a deployment that was deleted in the last 30 days. To restore it, commit the document."""
    dependencies = dependencies_of(request)
    with dependencies.store.read() as tx:
        entry = last_entry(tx, name)
    excerpt = dependencies.document(entry)
    if "text/yaml" in request.headers.get("accept", ""):
        return response_with_etag(request, excerpt.text.encode(), "text/yaml; charset=utf-8")
    content = {"document": excerpt.document, "text": excerpt.text, "is_whole": excerpt.is_whole}
    return json_response(request, {**content, "file": entry.file, "revision": entry.revision})


@router.post("/{name}/runs", response_model=Triggered, status_code=201, summary="Run a deployment now")
def trigger(
    request: Request,
    name: Name,
    call: TriggerRequest,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """The same `Idempotency-Key` returns the same run. 422 for parameters that the flow does not accept."""
    operations = dependencies_of(request).operations
    run = trigger_run(
        operations,
        name,
        call.parameters,
        due_time=aware(call.due_time),
        key=decode_header(idempotency_key),
        author=author_of(request),
    )
    return json_response(request, triggered_json(run, operations), status=201)


@router.post("/{name}/backfill", response_model=backfills.Backfilled, summary="Run the due times of a past range")
def backfill(request: Request, name: Name, body: BackfillRequest) -> Response:
    """Creates a backfill. Its runs start after all other waiting runs, `parallel` of them at a time."""
    due_range = backfills.BackfillRequest(
        deployment=name,
        since=aware(body.since),
        until=aware(body.until),
        redo=body.redo,
        code=body.code,
        parameters=body.parameters,
        parallel=body.parallel,
        most=body.max,
        dry_run=body.dry_run,
    )
    operations = dependencies_of(request).operations
    return json_response(request, backfills.create_backfill(operations, due_range, author=author_of(request)))


@router.post("/{name}/hold", response_model=DeploymentDetail, summary="Hold the schedules of a deployment")
def hold(request: Request, name: Name, body: HoldRequest) -> Response:
    """The schedules do not fire until `until` or until the deployment is resumed, regardless of git."""
    operations = dependencies_of(request).operations
    hold_deployment(operations, name, body.reason, aware(body.until), author=author_of(request))
    return _show(request, name)


@router.post("/{name}/resume", response_model=DeploymentDetail, summary="Resume a deployment")
def resume(request: Request, name: Name) -> Response:
    """Ends the hold. 409 if the deployment is not held."""
    resume_deployment(dependencies_of(request).operations, name, author=author_of(request))
    return _show(request, name)


def _show(request: Request, name: str) -> Response:
    dependencies = dependencies_of(request)
    with dependencies.store.read() as tx:
        return json_response(request, show_deployment(tx, name, dependencies.clock.now()))


def _require_active(request: Request, name: str, value: Value | None) -> Value:
    if value is not None:
        return value
    with dependencies_of(request).store.read() as tx:
        show_deployment(tx, name, dependencies_of(request).clock.now())
    raise UsageError(f"{name} is not active: no version of it has been valid yet.")


def _problem_key(view: DeploymentView) -> str:
    """Return a text that sorts as `sort_key` does."""
    place, count, since, name = sort_key(view)
    return f"{int(place)}.{10**9 + count:010}.{10**11 + since:012}.{name}"


def _next_key(view: DeploymentView) -> str:
    return f"{'~' if view.next_start is None else utc(view.next_start)}.{view.name}"


def _last_key(view: DeploymentView) -> str:
    age = 10**15 if view.last_run is None else 10**14 - int(view.last_run.created_at.timestamp() * 1000)
    return f"{age:016}.{view.name}"


_SORT_KEYS: dict[DeploymentSort, Callable[[DeploymentView], str]] = {
    DeploymentSort.PROBLEMS: _problem_key,
    DeploymentSort.NAME: lambda view: name_order(view.name),
    DeploymentSort.NEXT: _next_key,
    DeploymentSort.LAST_RUN: _last_key,
}
