"""Cancels or retries many runs with one request. Repeating a request changes nothing more.

`controller.operations.bulk_filters` selects the runs by filters, instead of by their ids.
"""

from collections.abc import Callable, Sequence

from controller.errors import ConflictError, NotFoundError, UsageError
from controller.model.runs import Run, RunState
from controller.operations.cancel import cancel_run
from controller.operations.context import OperationContext
from controller.operations.retry import retry_run
from controller.queries.run_selection import LeftOut
from controller.records import dataclass

MAX_RUNS = 1000
"""The maximum number of runs in one request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkRun:
    """The run that was cancelled, or the new run of a retry, in which `retry_of` is the run that was requested.

    `reason` says why the request does not apply to this run, for example because it has finished; then `state` is None.
    """

    run_id: str
    state: RunState | None
    retry_of: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkMatches:
    """A number of runs of one deployment and state. `reason` says why the request leaves them out."""

    deployment: str
    state: RunState
    count: int
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkResult:
    """The result for each run of a request, in its order. `count` is the number of runs that it applied to.

    With filters also:

    - `left_out`: the runs that match and are not retried, because a later run exists; in a dry run at most 1,000.
    - `due_times`: the number of due times without a run that were cancelled with their backfill.
    - `matches`: in a dry run all runs that match, by deployment and state.
    - `next`: the `cursor` of the next request; None if no more runs match. In a dry run, that of the first request: it
      limits the change to the runs that the dry run counted.
    """

    count: int
    runs: tuple[BulkRun, ...]
    left_out: tuple[LeftOut, ...] = ()
    due_times: int = 0
    matches: tuple[BulkMatches, ...] = ()
    next: str | None = None


def cancel_runs(context: OperationContext, run_ids: Sequence[str], reason: str, *, author: str) -> BulkResult:
    """Cancel these runs. Raises UsageError for too many."""
    _check_number(run_ids)
    return for_each_run(run_ids, lambda run_id: cancel_run(context, run_id, reason, author=author))


def retry_runs(
    context: OperationContext, run_ids: Sequence[str], *, latest: bool = False, key: str | None = None, author: str
) -> BulkResult:
    """Retry these runs. With the same idempotency `key`, the runs that were retried before are not retried again."""

    def retry(run_id: str) -> Run:
        own_key = None if key is None else f"{key}:{run_id}"
        return retry_run(context, run_id, latest=latest, key=own_key, author=author)

    _check_number(run_ids)
    return for_each_run(run_ids, retry)


def for_each_run(run_ids: Sequence[str], operation: Callable[[str], Run]) -> BulkResult:
    """Apply an operation to these runs; report those that it does not apply to with a reason."""
    results = []
    for run_id in dict.fromkeys(run_ids):
        try:
            run = operation(run_id)
            results.append(BulkRun(run_id=run.id, state=run.state.public, retry_of=run.retry_of))
        except (ConflictError, NotFoundError) as error:
            results.append(BulkRun(run_id=run_id, state=None, reason=error.message))
    return BulkResult(count=sum(result.reason is None for result in results), runs=tuple(results))


def _check_number(run_ids: Sequence[str]) -> None:
    if len(run_ids) > MAX_RUNS:
        raise UsageError(f"{len(run_ids)} runs are too many for one request.", hint=f"Pass at most {MAX_RUNS} ids.")
