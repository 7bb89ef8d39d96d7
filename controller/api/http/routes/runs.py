"""The endpoints of runs: list, details, comparison, cancel and retry.

`controller.api.http.routes.run_logs` has their logs.
"""

import json
from typing import Annotated

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from controller.api.http.pagination import Cursor, Limit, Page, next_cursor, read_cursor, text_parser
from controller.api.http.protocol import MAX_PAGE_BYTES
from controller.api.http.responses import (
    ID,
    LINE,
    ChangedRun,
    Dependencies,
    IdempotencyKey,
    Moment,
    RunIdText,
    Triggered,
    author_of,
    aware,
    changed_json,
    decode_header,
    dependencies_of,
    json_response,
    triggered_json,
)
from controller.api.http.routers import api_router
from controller.errors import NotFoundError, UsageError
from controller.model.names import NAME_PATTERN
from controller.model.runs import Run, RunDetail, RunState, Trigger
from controller.operations.bulk import MAX_RUNS, BulkResult, cancel_runs, retry_runs
from controller.operations.bulk_filters import BulkFilter, cancel_matching, retry_matching
from controller.operations.cancel import cancel_run
from controller.operations.retry import retry_run
from controller.queries.run_diff import (
    CommitRange,
    FileChanges,
    RunComparison,
    RunDiff,
    diff_runs,
    find_other_run,
)
from controller.queries.runs import exact_run, public_runs, run_detail, stored_states
from controller.store import Transaction
from controller.store.run_search import RunFilter, RunPage, runs_page

router = api_router("/api/v1/runs", "runs")

_BATCH = 50
"""Number of runs read at once, with all their parameters."""


class Cancellation(BaseModel):
    """The reason for a cancellation."""

    model_config = ConfigDict(extra="forbid")
    reason: str = Field(default="cancelled over HTTP", json_schema_extra=LINE)


class RetryRequest(BaseModel):
    """With `latest`, the retry executes the deployment as it is active now, instead of the commit of the run."""

    model_config = ConfigDict(extra="forbid")
    latest: bool = False


class RunSelection(BaseModel):
    """The ids of runs, or filters that select them. With `dry_run`, the runs that match are only counted."""

    model_config = ConfigDict(extra="forbid")
    run_ids: list[str] | None = Field(default=None, max_length=MAX_RUNS)
    deployment: str | None = Field(default=None, pattern=NAME_PATTERN)
    state: list[RunState] | None = Field(default=None, min_length=1)
    tag: str | None = Field(default=None, max_length=200)
    trigger: Trigger | None = None
    revision: str | None = Field(default=None, min_length=1, max_length=250, pattern=r"^[\x21-\x7e]+$")
    since: Moment | None = None
    until: Moment | None = None
    backfill: str | None = Field(default=None, pattern=ID)
    dry_run: bool = False
    cursor: str | None = Field(default=None, max_length=80)

    def bulk_filter(self) -> BulkFilter | None:
        """Return the filters; None if ids select the runs. Raises UsageError for both or neither."""
        criteria = RunFilter(
            deployment=self.deployment,
            states=_stored(self.state),
            tag=self.tag,
            trigger=None if self.trigger is None else self.trigger.value,
            revision=self.revision,
            since=aware(self.since),
            until=aware(self.until),
            backfill=self.backfill,
        )
        has_filters = criteria != RunFilter() or self.dry_run or self.cursor is not None
        if self.run_ids is not None and has_filters:
            raise UsageError("Pass `run_ids` or filters, but not both.")
        if self.run_ids is None and criteria == RunFilter():
            hint = "Pass `run_ids`, or a filter such as `deployment`, `state` or `since`."
            raise UsageError("The request selects no runs.", hint=hint)
        if self.run_ids is not None:
            return None
        return BulkFilter(criteria=criteria, dry_run=self.dry_run, cursor=self.cursor)


class BulkCancellation(RunSelection, Cancellation):
    """The runs to cancel, and the reason."""


class BulkRetry(RunSelection, RetryRequest):
    """The runs to retry."""


@router.get("", response_model=Page[Run], summary="List runs, newest first")
def runs(  # noqa: PLR0913
    request: Request,
    deployment: Annotated[str | None, Query(pattern=NAME_PATTERN)] = None,
    state: Annotated[list[RunState] | None, Query()] = None,
    tag: Annotated[str | None, Query(max_length=200)] = None,
    trigger: Trigger | None = None,
    revision: Annotated[str | None, Query(min_length=1, max_length=250, pattern=r"^[\x21-\x7e]+$")] = None,
    since: Moment | None = None,
    until: Moment | None = None,
    backfill: Annotated[str | None, Query(pattern=ID)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """The runs that match all filters. `revision` may be the beginning of a commit id."""
    before = read_cursor(request, cursor, text_parser("[0-9a-f-]{36}"))
    run_filter = RunFilter(
        deployment=deployment,
        states=_stored(state),
        tag=tag,
        trigger=None if trigger is None else trigger.value,
        revision=revision,
        since=aware(since),
        until=aware(until),
        backfill=backfill,
    )
    dependencies = dependencies_of(request)
    with dependencies.store.read() as tx:
        page = _page(tx, run_filter, limit, before)
        items = public_runs(tx, page.runs, dependencies.clock.now())
    return json_response(request, {"items": items, "next": next_cursor(request, page.next)})


@router.post("/bulk/cancel", response_model=BulkResult, summary="Cancel many runs")
def cancel_many(request: Request, body: BulkCancellation) -> Response:
    """Runs that have finished are reported with a reason, and stay as they are.

    With filters, one request cancels up to 250 of the unfinished runs that match, oldest first; repeat it with `next`
    as the `cursor`. If `backfill` is the only filter, the backfill is cancelled too, at once.
    """
    operations, author, selected = dependencies_of(request).operations, author_of(request), body.bulk_filter()
    if selected is None:
        return json_response(request, cancel_runs(operations, body.run_ids or (), body.reason, author=author))
    return json_response(request, cancel_matching(operations, selected, body.reason, author=author))


@router.post("/bulk/retry", response_model=BulkResult, summary="Retry many finished runs")
def retry_many(request: Request, body: BulkRetry, idempotency_key: IdempotencyKey = None) -> Response:
    """Runs that have not finished are reported with a reason. The same `Idempotency-Key` retries no run twice.

    With filters, one request handles up to 250 of the finished runs that match, by default of those that failed; repeat
    it with `next` as the `cursor`. Only the latest run of a due time is retried.
    """
    operations, key, author = dependencies_of(request).operations, decode_header(idempotency_key), author_of(request)
    selected = body.bulk_filter()
    if selected is None:
        result = retry_runs(operations, body.run_ids or (), latest=body.latest, key=key, author=author)
    else:
        result = retry_matching(operations, selected, latest=body.latest, key=key, author=author)
    return json_response(request, result)


@router.get("/{run_id}", response_model=RunDetail, summary="Get a run")
def run(request: Request, run_id: RunIdText) -> Response:
    """The output of `controller runs show -o json`, and the attempts."""
    dependencies = dependencies_of(request)
    with dependencies.store.read() as tx:
        return json_response(request, run_detail(tx, run_id, dependencies.clock.now(), dependencies.state.runs))


@router.get("/{run_id}/diff", response_model=RunComparison, summary="Compare two runs")
def diff(
    request: Request,
    run_id: RunIdText,
    other: Annotated[str | None, Query(alias="with", min_length=1, max_length=36)] = None,
) -> Response:
    """The changes from another run to this one: parameters, declaration, commits, and files, its own ones first.

    `with` is the id of the other run, by default of the last successful run before this one. 404 if there is none.
    """
    dependencies = dependencies_of(request)
    with dependencies.store.read() as tx:
        run = exact_run(tx, run_id)
        changes = diff_runs(tx, run, None if other is None else find_other_run(tx, run, other))
    if changes is None:
        raise NotFoundError("No earlier run of the deployment succeeded.", hint="Pass the id of a run as `with`.")
    commits, files = code_between(dependencies, run, changes)
    comparison = RunComparison(
        run_id=run.id,
        other_id=changes.earlier.id,
        same_revision=changes.same_revision,
        same_document=changes.same_document,
        parameters=changes.parameters,
        commits=commits,
        files=files,
    )
    return json_response(request, comparison)


@router.post("/{run_id}/cancel", response_model=ChangedRun, summary="Cancel a run")
def cancel(request: Request, run_id: RunIdText, cancellation: Cancellation) -> Response:
    """A waiting run ends at once, a running one as soon as its flow has stopped. 409 if the run has finished."""
    operations = dependencies_of(request).operations
    run = cancel_run(operations, run_id, cancellation.reason, author=author_of(request))
    return json_response(request, changed_json(run))


@router.post("/{run_id}/retry", response_model=Triggered, status_code=201, summary="Retry a finished run")
def retry(
    request: Request,
    run_id: RunIdText,
    body: RetryRequest | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Creates a new run at the same commit, or with `latest` of the active deployment. 409 if the run has not finished.

    The same `Idempotency-Key` returns the same run.
    """
    operations, key = dependencies_of(request).operations, decode_header(idempotency_key)
    latest = body is not None and body.latest
    run = retry_run(operations, run_id, latest=latest, key=key, author=author_of(request))
    return json_response(request, triggered_json(run, operations), status=201)


def code_between(dependencies: Dependencies, run: Run, changes: RunDiff) -> tuple[CommitRange | None, FileChanges]:
    """Return the commits and the files between the revisions of two runs."""
    if changes.same_revision:
        return None, FileChanges()
    commits = dependencies.commits_between(run.revision, changes.earlier.revision)
    return commits, dependencies.code_changes(run, changes.earlier)


def _stored(states: list[RunState] | None) -> list[RunState] | None:
    return None if states is None else [value for shown in states for value in stored_states(shown)]


def _page(tx: Transaction, run_filter: RunFilter, limit: int, before: str | None) -> RunPage:
    """Read a page of runs. It ends early, after at least one run, if parameters and results exceed 1 MiB."""
    runs: list[Run] = []
    size = 0
    while True:
        step = min(_BATCH, limit - len(runs))
        batch = runs_page(tx, run_filter, limit=step, before=before)
        for run in batch.runs:
            size += len(json.dumps([run.parameters, run.result]))
            if runs and size > MAX_PAGE_BYTES:
                return RunPage(runs=runs, next=runs[-1].id)
            runs.append(run)
        before = batch.next
        if before is None or len(batch.runs) < step or len(runs) == limit:
            return RunPage(runs=runs, next=before)
