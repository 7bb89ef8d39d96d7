"""The endpoints of the source: status, passes, plan, next fire times, reconcile, approvals; and login links."""

import asyncio
from concurrent.futures import Future
from typing import Annotated

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, StringConstraints
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from controller.api.http.documented_route import ResponseModel
from controller.api.http.responses import author_of, dependencies_of, json_response
from controller.api.http.routers import api_router
from controller.api.http.security_middleware import Caller
from controller.api.http.sse import wait_for_disconnect
from controller.errors import ConflictError, ControllerError, StoppingError
from controller.model import extend
from controller.model.commits import RecordedCommit
from controller.model.status import PassRecord, SourceStatus
from controller.operations.approval import Approved, approval_result, approve_deletions
from controller.queries.status import StatusView, current_status
from controller.queries.status_summary import NextFire
from controller.reconcile.preview import Preview
from controller.reconcile.reconciler import PassResult
from controller.records import dataclass
from controller.remotes import pull_request_url
from controller.store import commits, passes

router = api_router("/api/v1", "source")

Digest = Annotated[str, StringConstraints(max_length=100)]
_PASS_SECONDS = 600.0


class ReconcileRequest(BaseModel):
    """With `wait`, the response is sent when the pass is done."""

    model_config = ConfigDict(extra="forbid")
    wait: bool = False


class Approval(BaseModel):
    """`digest` is that of `withheld` in the status or the plan, or at least its first 12 characters."""

    model_config = ConfigDict(extra="forbid")
    digest: Digest


class ReconcileAnswer(ResponseModel):
    """Whether the requested pass is done."""

    is_done: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitEntry(RecordedCommit):
    """A commit that a pass has seen, with the deployments that it added, changed and removed.

    `pr_url` is the URL of the pull or merge request that its subject names; None if it names none that is known.
    """

    pr_url: str | None


class LoginLink(ResponseModel):
    """A one-time login link."""

    url: str


def status_of(request: Request) -> StatusView:
    """Return the full status."""
    dependencies = dependencies_of(request)
    views = request.app.state.deployment_cache.deployments()
    return current_status(
        dependencies.store,
        dependencies.state,
        dependencies.location,
        dependencies.clock.now(),
        deployments=views,
        standing=dependencies.standing(),
    )


@router.get("/status", response_model=StatusView, summary="Get the full status")
def status(request: Request) -> Response:
    """The output of `controller status -o json`."""
    return json_response(request, status_of(request))


@router.get("/source", response_model=SourceStatus, summary="Get the source and its conditions")
def source(request: Request) -> Response:
    """The part `source` of the status."""
    from controller.queries.status import public_source
    from controller.store import source_status

    dependencies = dependencies_of(request)
    with dependencies.store.read() as tx:
        status = source_status.find(tx)
    return json_response(request, public_source(status, dependencies.location))


@router.get("/passes", response_model=list[PassRecord], summary="List reconcile passes, newest first")
def history(request: Request, limit: Annotated[int, Query(ge=1, le=50)] = 50) -> Response:
    """The passes that found changes or failed, with the milliseconds spent in each stage."""
    with dependencies_of(request).store.read() as tx:
        return json_response(request, passes.latest(tx, limit))


@router.get("/commits", response_model=list[CommitEntry], summary="List commits, newest first")
def list_commits(request: Request, limit: Annotated[int, Query(ge=1, le=500)] = 50) -> Response:
    """The commits that passes have seen, with the deployments that each of them added, changed and removed."""
    dependencies = dependencies_of(request)
    with dependencies.store.read() as tx:
        rows = commits.latest(tx, limit)
    return json_response(request, [_with_request(commit, dependencies.web_url_template) for commit in rows])


@router.get("/plan", response_model=Preview, summary="Plan a ref")
def plan(request: Request, ref: Annotated[str | None, Query(min_length=1, max_length=250)] = None) -> Response:
    """The changes that a ref would make to what is applied, as in `controller plan -o json`.

    Without `ref`: the ref that the controller follows.
    """
    return json_response(request, dependencies_of(request).plan(ref))


@router.get("/fire-times", response_model=list[NextFire], summary="List next fire times")
def fire_times(request: Request, limit: Annotated[int, Query(ge=1, le=500)] = 50) -> Response:
    """The next fire time of each deployment, earliest first."""
    views = [view for view in request.app.state.deployment_cache.deployments() if view.next_fire_time is not None]
    views.sort(key=lambda view: (view.next_fire_time, view.name))
    fires = [
        NextFire(deployment=view.name, fire_time=view.next_fire_time)
        for view in views[:limit]
        if view.next_fire_time is not None
    ]
    return json_response(request, fires)


@router.post("/reconcile", response_model=ReconcileAnswer, summary="Sync now")
async def reconcile(request: Request, options: ReconcileRequest) -> Response:
    """Run a reconcile pass. With `wait`: 502 if the pass could not read the source."""
    future = dependencies_of(request).operations.request_pass()
    if options.wait or future.done():
        result = await _wait_for_pass(request, future)
        if result.error is not None:
            raise result.error
    return json_response(request, {"is_done": options.wait})


@router.post("/approvals", response_model=Approved, summary="Approve withheld deletions")
async def approve(request: Request, approval: Approval) -> Response:
    """Approves exactly the deletions of this digest. If git would delete others by then, nothing is deleted."""
    operations = dependencies_of(request).operations
    withheld, future = await run_in_threadpool(
        approve_deletions, operations, approval.digest, author=author_of(request)
    )
    try:
        result = await _wait_for_pass(request, future)
    except ControllerError:
        result = None  # the approval remains, even if the pass failed
    approved = await run_in_threadpool(approval_result, operations, withheld, result)
    return json_response(request, approved)


@router.post("/login-links", response_model=LoginLink, status_code=201, summary="Create a login link")
def login_link(request: Request) -> Response:
    """The link opens the dashboard once, within ten minutes.

    A browser session cannot create one: it could extend itself beyond its expiry.
    """
    caller: Caller = request.scope["caller"]
    if caller.is_session:
        raise ConflictError("A browser session cannot create a login link.", hint="Run `controller login`.")
    return json_response(request, {"url": dependencies_of(request).login_link()}, status=201)


def _with_request(commit: RecordedCommit, template: str | None) -> CommitEntry:
    pull_request = pull_request_url(template, commit.subject)
    return extend(CommitEntry, commit, pr_url=None if pull_request is None else pull_request[1])


async def _wait_for_pass(request: Request, future: Future[PassResult]) -> PassResult:
    """Return the result of the pass. It is awaited without a thread, and only while the client is connected.

    Raises ControllerError if the pass fails or does not finish within 10 minutes.
    """
    pending = asyncio.wrap_future(future)
    disconnected = asyncio.ensure_future(wait_for_disconnect(request.receive))
    try:
        await asyncio.wait((pending, disconnected), timeout=_PASS_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if disconnected.done() and not pending.done():
            raise StoppingError
        if not pending.done():
            raise ControllerError(
                "The reconcile pass did not finish within 10 minutes.", hint="See `controller status`."
            )
        return pending.result()
    finally:
        disconnected.cancel()
        if not pending.done():
            pending.cancel()
