"""The source: what git says, what is applied of it, what it would change; and what can be asked of it."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, StringConstraints
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from controller.api.http.reconcile_wait import passed
from controller.api.http.responses import answer, author_of, dependencies_of
from controller.api.http.security_middleware import Caller
from controller.api.http.strict_json import StrictRoute
from controller.api.operations import Approved
from controller.errors import ConflictError, ControllerError
from controller.model.status import PassRecord
from controller.queries.status import SourceView, StatusView, current_status
from controller.reconcile.preview import Preview
from controller.store import passes

router = APIRouter(prefix="/api/v1", tags=["source"], route_class=StrictRoute)

Digest = Annotated[str, StringConstraints(max_length=100)]


class ReconcileRequest(BaseModel):
    """`wait`: answer when the pass is done."""

    model_config = ConfigDict(extra="forbid")
    wait: bool = False


class Approval(BaseModel):
    """`digest` is what `withheld` of the status, or the plan, names; its first 12 characters are enough."""

    model_config = ConfigDict(extra="forbid")
    digest: Digest


class ReconcileAnswer(BaseModel):
    """Whether the pass that was asked for is done."""

    is_done: bool


class LoginLink(BaseModel):
    """Where a browser begins."""

    url: str


class NextFire(BaseModel):
    """When a deployment fires next."""

    deployment: str
    fire_time: datetime


def status_of(request: Request) -> StatusView:
    """The whole picture."""
    parts = dependencies_of(request)
    views = request.app.state.board.deployments()
    return current_status(parts.store, parts.state, parts.location, parts.clock.now(), deployments=views)


@router.get("/status", response_model=StatusView, summary="The whole picture")
def status(request: Request) -> Response:
    """As `controller status -o json` has it."""
    return answer(request, status_of(request))


@router.get("/source", response_model=SourceView, summary="The source and its conditions")
def source(request: Request) -> Response:
    """As in the status."""
    from controller.queries.status import source_view
    from controller.store import source_status

    parts = dependencies_of(request)
    with parts.store.read() as tx:
        found = source_status.find(tx)
    return answer(request, source_view(found, parts.location))


@router.get("/passes", response_model=list[PassRecord], summary="The history of passes, newest first")
def history(request: Request, limit: Annotated[int, Query(ge=1, le=50)] = 50) -> Response:
    """Those that found something new or failed, with the milliseconds of each stage."""
    with dependencies_of(request).store.read() as tx:
        return answer(request, passes.latest(tx, limit))


@router.get("/plan", response_model=Preview, summary="What a ref would change")
def plan(request: Request, ref: Annotated[str | None, Query(min_length=1, max_length=250)] = None) -> Response:
    """Against what is applied, as `controller plan -o json` has it; without `ref` that of the ref which is followed."""
    return answer(request, dependencies_of(request).plan(ref))


@router.get("/fire-times", response_model=list[NextFire], summary="What fires next")
def fire_times(request: Request, limit: Annotated[int, Query(ge=1, le=500)] = 50) -> Response:
    """One row for each deployment, in the order of time."""
    return answer(request, next_fires(request, limit))


def next_fires(request: Request, limit: int) -> list[dict[str, Any]]:
    """The next fire time of each deployment, in the order of time."""
    views = [view for view in request.app.state.board.deployments() if view.next_fire_time is not None]
    views.sort(key=lambda view: (view.next_fire_time, view.name))
    return [{"deployment": view.name, "fire_time": view.next_fire_time} for view in views[:limit]]


@router.post("/reconcile", response_model=ReconcileAnswer, summary="Look at the source now")
async def reconcile(request: Request, look: ReconcileRequest) -> Response:
    """502 if the pass that was waited for could not read the source."""
    future = dependencies_of(request).operations.reconcile()
    if look.wait or future.done():
        result = await passed(request, future)
        if result.error is not None:
            raise result.error
    return answer(request, {"is_done": look.wait})


@router.post("/approvals", response_model=Approved, summary="Release withheld deletions")
async def approve(request: Request, approval: Approval) -> Response:
    """Exactly those of this digest; if git asks for others by then, nothing is deleted."""
    operations = dependencies_of(request).operations
    withheld, future = await run_in_threadpool(operations.approve, approval.digest, author=author_of(request))
    try:
        result = await passed(request, future)
    except ControllerError:
        result = None  # the approval stands, whatever became of the pass
    found = await run_in_threadpool(operations.approval, withheld, result)
    return answer(request, found)


@router.post("/login-links", response_model=LoginLink, status_code=201, summary="A link that opens the dashboard")
def login_link(request: Request) -> Response:
    """Once, within ten minutes. A session of a browser can't make another: it would outlive its own end."""
    caller: Caller = request.scope["caller"]
    if caller.is_session:
        raise ConflictError("A session opens no other.", hint="`controller login` prints a link.")
    return answer(request, {"url": dependencies_of(request).login_link()}, status=201)
