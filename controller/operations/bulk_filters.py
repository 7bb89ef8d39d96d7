"""Cancels or retries the runs that match filters, page by page, so that no request takes long.

A dry run counts the runs and returns a cursor, with which the following requests apply to these runs and to no newer
ones. Repeating a request changes nothing more: a cancelled run no longer matches, and a run that has a later one is not
retried.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from controller.errors import UsageError
from controller.model.runs import ACTIVE, FAILURES, TERMINAL, Run, RunState
from controller.operations.backfills import cancel_rest_of_backfill
from controller.operations.bulk import MAX_RUNS, BulkMatches, BulkResult, for_each_run, retry_runs
from controller.operations.cancel import cancel_run
from controller.operations.context import OperationContext, clean_reason
from controller.queries.run_selection import LeftOut, Selection, select_for_retry
from controller.records import dataclass
from controller.store import Transaction, backfills
from controller.store.run_search import RunFilter, select_all, select_oldest

PAGE = 250
"""The number of runs in one request. The controller handles them within the timeout of a response."""
_CURSOR = re.compile("([0-9a-f-]{36})?:([0-9a-f-]{36})")


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkFilter:
    """The runs of a request; at least one criterion is set. `cursor` is the `next` of the previous response."""

    criteria: RunFilter
    dry_run: bool = False
    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """The matching runs of one request, oldest first."""

    runs: Sequence[Run]
    next: str | None


def cancel_matching(context: OperationContext, request: BulkFilter, reason: str, *, author: str) -> BulkResult:
    """Cancel the unfinished runs that match, by default in any state. Raises UsageError.

    If the only filter is a backfill, it is cancelled: also its due times that have no run yet.
    """
    reason = clean_reason(reason)
    criteria = _with_states(request.criteria, ACTIVE, allowed=ACTIVE)
    backfill_id = request.criteria.backfill
    is_whole_backfill = request.criteria == RunFilter(backfill=backfill_id)
    with context.store.read() as tx:
        page = _read_page(tx, criteria, request, is_whole=is_whole_backfill)
        due_times = backfills.count_without_run(tx, backfill_id) if backfill_id and is_whole_backfill else 0
    if request.dry_run:
        matches = tuple(_count(page.runs, None))
        return BulkResult(count=len(page.runs), runs=(), due_times=due_times, matches=matches, next=page.next)
    if backfill_id and is_whole_backfill:
        due_times = cancel_rest_of_backfill(context, backfill_id, reason, author=author)
    ids = [run.id for run in page.runs]
    result = for_each_run(ids, lambda run_id: cancel_run(context, run_id, reason, author=author))
    return replace(result, due_times=due_times, next=page.next)


def retry_matching(
    context: OperationContext, request: BulkFilter, *, latest: bool = False, key: str | None = None, author: str
) -> BulkResult:
    """Retry the finished runs that match, by default those that failed, each due time once. Raises UsageError."""
    criteria = replace(_with_states(request.criteria, FAILURES, allowed=TERMINAL), is_adopted=True)
    with context.store.read() as tx:
        page = _read_page(tx, criteria, request)
        selection = _without_own(select_for_retry(tx, page.runs), key)
    if request.dry_run:
        return _dry_retry(page, selection)
    result = retry_runs(context, [run.id for run in selection.runs], latest=latest, key=key, author=author)
    return replace(result, left_out=tuple(selection.left_out), next=page.next)


def _with_states(criteria: RunFilter, default: Collection[RunState], *, allowed: Collection[RunState]) -> RunFilter:
    states = default if criteria.states is None else criteria.states
    excluded = sorted({state.public for state in states if state not in allowed})
    if excluded:
        problem = "unfinished" if allowed is ACTIVE else "finished"
        raise UsageError(f"The request applies to {problem} runs only, not to those in state {', '.join(excluded)}.")
    return replace(criteria, states=states)


def _read_page(tx: Transaction, criteria: RunFilter, request: BulkFilter, *, is_whole: bool = False) -> _Page:
    """Return the next runs; all of them in a dry run, or for a whole backfill, whose unfinished runs are limited."""
    after, newest = _parse(request.cursor)
    if newest is None:
        newest = next((run.id for run in select_all(tx, criteria, limit=1)), None)
    if newest is None:
        return _Page(runs=(), next=None)
    limit = None if request.dry_run or is_whole else PAGE + 1
    matches = select_oldest(tx, criteria, after=after, newest=newest, limit=limit)
    if request.dry_run:
        return _Page(runs=matches, next=f"{after}:{newest}")
    if limit is None or len(matches) <= PAGE:
        return _Page(runs=matches, next=None)
    return _Page(runs=matches[:PAGE], next=f"{matches[PAGE - 1].id}:{newest}")


def _parse(cursor: str | None) -> tuple[str, str | None]:
    """Return after which id the page begins, and the newest id."""
    if cursor is None:
        return "", None
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise UsageError("The cursor is invalid.", hint="Pass the `next` of the previous response.")
    return match[1] or "", match[2]


def _without_own(selection: Selection, key: str | None) -> Selection:
    """Leave out the runs that an earlier request with the same idempotency key created."""
    own = [run for run in selection.runs if key is not None and (run.idempotency_key or "").startswith(f"{key}:")]
    if not own:
        return selection
    left_out = [LeftOut(run_id=run.id, later_run=run.id, reason="this request created it") for run in own]
    return Selection(runs=[run for run in selection.runs if run not in own], left_out=[*selection.left_out, *left_out])


def _dry_retry(page: _Page, selection: Selection) -> BulkResult:
    by_id = {run.id: run for run in page.runs}
    counts = list(_count(selection.runs, None))
    for reason in sorted({run.reason for run in selection.left_out}):
        counts += _count([by_id[run.run_id] for run in selection.left_out if run.reason == reason], reason)
    return BulkResult(
        count=len(selection.runs),
        runs=(),
        left_out=tuple(selection.left_out[:MAX_RUNS]),
        matches=tuple(counts),
        next=page.next,
    )


def _count(matches: Sequence[Run], reason: str | None) -> Iterable[BulkMatches]:
    counts = Counter((run.deployment, run.state.public) for run in matches)
    for (deployment, state), count in sorted(counts.items()):
        yield BulkMatches(deployment=deployment, state=state, count=count, reason=reason)
