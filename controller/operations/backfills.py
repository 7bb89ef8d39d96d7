"""Backfills: run the due times of a past range. A backfill is an object that can be paused, resumed and cancelled."""

import logging
from collections.abc import Mapping, Sequence, Set
from dataclasses import field
from datetime import datetime
from typing import Any

from controller.errors import ConflictError, NotFoundError, UsageError
from controller.model.backfills import Backfill, BackfillState, CodeVersion, Redo
from controller.model.deployments import Deployment
from controller.model.policies import Overlap
from controller.model.runs import Run
from controller.model.status import InventoryEntry
from controller.operations.context import OperationContext, get_entry
from controller.operations.due_times import MAX_DUE_TIMES, check_range, due_times_between, too_many_due_times
from controller.records import dataclass
from controller.runs.admission_policy import DueTime
from controller.runs.backfill_runs import BackfillRuns, find_originals
from controller.runs.backfills import cancel_backfill, is_selected
from controller.store import Transaction, backfills, inventory, occurrences, runs, source_status
from controller.time_format import in_utc

log = logging.getLogger(__name__)

MAX_PARALLEL = 1000

_Declared = tuple[str, str]
"""A revision, and the digest of the deployment's document at it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillRequest:
    """A request to run due times in [since, until]: those without a run, and with `redo` also others.

    `most` limits them to the latest ones. Without `parallel`, the runs start one after another, or all at once if the
    deployment allows overlaps.
    """

    deployment: str
    since: datetime
    until: datetime | None = None
    redo: Redo | None = None
    code: CodeVersion = CodeVersion.LATEST
    parameters: Mapping[str, Any] = field(default_factory=dict)
    parallel: int | None = None
    most: int | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfilled:
    """The new backfill and its first runs; the others are created when those have finished.

    `backfill_id` is None if there was nothing to run, or with `dry_run`. `times` are all selected due times.
    `older_schedule` are those of them that were due only under an older schedule. `have_run`, also as `already_run`:
    the number of due times of the range that were not selected; `planned`: that of those among them that another
    backfill will run; `left_out`: that of the selected ones beyond `max`.
    """

    backfill_id: str | None
    run_ids: tuple[str, ...]
    times: tuple[datetime, ...]
    older_schedule: tuple[datetime, ...]
    have_run: int
    already_run: int
    planned: int
    left_out: int


def create_backfill(context: OperationContext, request: BackfillRequest, *, author: str) -> Backfilled:
    """Create a backfill and its first runs; with `dry_run`, only return the due times.

    The due times are computed without a lock on the store, and selected in the writing transaction. Raises
    NotFoundError, UsageError, ConflictError.
    """
    now = context.clock.now()
    until = now if request.until is None else request.until
    with context.store.read() as tx:
        entry = get_entry(tx, request.deployment)
    deployment = context.admission.deployment(entry)
    check_range(deployment, request.since, until, now)
    if not deployment.schedules and request.redo is None:
        hint = f"Run `controller trigger {entry.name} --due-time TIME` for each time, or repeat due times with --redo."
        raise UsageError(f"{entry.name} has no schedule, so it has no due times.", hint=hint)
    times = due_times_between(deployment, request.since, until)
    checked = _check_parameters(context, request, deployment, until, times) if request.parameters else {}
    if request.dry_run:
        with context.store.read() as tx:
            return _result(request, _select(tx, request, until, times))
    with context.store.write() as tx:
        selection = _select(tx, request, until, times)
        queued = _latest(request, selection)
        if _has_changed(tx, entry) or not _originals(tx, request, queued).keys() <= checked.keys():
            raise ConflictError(
                f"{entry.name} changed while the backfill was being prepared.", hint="Repeat the backfill."
            )
        if not queued:
            return _result(request, selection)
        backfill = _new(context, tx, request, entry, until, len(queued), author)
        backfills.insert_new(tx, backfill, queued)
        created = BackfillRuns(context.admission).advance(tx, backfill.id, now)
        count = "1 due time" if len(queued) == 1 else f"{len(queued)} due times"
        message = f"{author} backfilled {count} from {in_utc(queued[0][0])} to {in_utc(queued[-1][0])}."
        context.record_event(tx, "Backfill", message, entry.name)
    log.info("Backfill created", extra={"deployment": entry.name, "backfill": backfill.id, "author": author})
    context.wake()
    return _result(request, selection, backfill, created)


def pause_backfill(context: OperationContext, backfill_id: str, *, author: str) -> Backfill:
    """Start no more runs of a backfill. Those in progress continue. Raises NotFoundError, ConflictError."""
    return _move(context, backfill_id, BackfillState.RUNNING, BackfillState.PAUSED, f"{author} paused")


def resume_backfill(context: OperationContext, backfill_id: str, *, author: str) -> Backfill:
    """Continue a paused backfill. Raises NotFoundError, ConflictError."""
    return _move(context, backfill_id, BackfillState.PAUSED, BackfillState.RUNNING, f"{author} resumed")


def cancel_whole_backfill(context: OperationContext, backfill_id: str, *, author: str) -> Backfill:
    """Cancel a backfill and its unfinished runs. Idempotent. Raises NotFoundError, ConflictError."""
    with context.store.write() as tx:
        backfill = get_backfill(tx, backfill_id)
        if backfill.state is BackfillState.CANCELLED:
            return backfill
        if not cancel_backfill(tx, backfill, f"{author} cancelled its backfill", context.clock.now()):
            raise ConflictError(
                f"Backfill {backfill.id} has already ended: {backfill.state}.",
                hint="To cancel runs that were retried, cancel the runs.",
            )
        _record_cancelled(context, tx, backfill, author)
        backfill = get_backfill(tx, backfill_id)
    context.wake()
    return backfill


def cancel_rest_of_backfill(context: OperationContext, backfill_id: str, reason: str, *, author: str) -> int:
    """Cancel a backfill and its unfinished runs, unless it has ended or is unknown.

    Return the number of its due times that had no run.
    """
    with context.store.write() as tx:
        backfill = backfills.find(tx, backfill_id)
        due_times = backfills.count_without_run(tx, backfill_id)
        if backfill is None or not cancel_backfill(tx, backfill, reason, context.clock.now()):
            return 0
        _record_cancelled(context, tx, backfill, author)
    context.wake()
    return due_times


def get_backfill(tx: Transaction, backfill_id: str) -> Backfill:
    """Return the backfill with exactly this id. Raises NotFoundError."""
    backfill = backfills.find(tx, backfill_id)
    if backfill is None:
        raise NotFoundError(f"There is no backfill {backfill_id!r}.", hint="See `controller backfills`.")
    return backfill


def _record_cancelled(context: OperationContext, tx: Transaction, backfill: Backfill, author: str) -> None:
    context.record_event(tx, "BackfillCancelled", f"{author} cancelled backfill {backfill.id}.", backfill.deployment)


def _move(
    context: OperationContext, backfill_id: str, expect: BackfillState, to: BackfillState, action: str
) -> Backfill:
    with context.store.write() as tx:
        backfill = get_backfill(tx, backfill_id)
        if backfill.state is to:
            return backfill
        if not backfills.move(tx, backfill.id, expect=(expect,), to=to):
            raise ConflictError(
                f"Backfill {backfill.id} has already ended: {backfill.state}.", hint="Create another backfill."
            )
        reason = "BackfillPaused" if to is BackfillState.PAUSED else "BackfillResumed"
        context.record_event(tx, reason, f"{action} backfill {backfill.id}.", backfill.deployment)
        if to is BackfillState.RUNNING:
            BackfillRuns(context.admission).advance(tx, backfill.id, context.clock.now())
        backfill = get_backfill(tx, backfill_id)
    context.wake()
    return backfill


@dataclass(frozen=True, slots=True, kw_only=True)
class _Selection:
    """The due times to run, oldest first, each with the id of its schedule; `total` counts the others too.

    `older`: those of older schedules. `planned`: how many are left to another backfill.
    """

    times: Sequence[tuple[datetime, str]]
    older: Set[datetime]
    total: int
    planned: int


def _select(tx: Transaction, request: BackfillRequest, until: datetime, due_times: Sequence[DueTime]) -> _Selection:
    due = {time: schedule.id for time, schedule in due_times}
    states = occurrences.find_states(tx, request.deployment, request.since, until)
    older = {}
    if request.redo is not None:
        recorded = _find_recorded(tx, request, until, due)
        older = {
            time: schedule
            for time, schedule in recorded.items()
            if time not in due and (time in states or is_selected(states, time, request.redo, is_due=False))
        }
        if recorded.keys() - due.keys():  # the schedule has changed: what the ledger lacks was not due before
            due = {time: schedule for time, schedule in due.items() if time in recorded}
    times = sorted({**due, **older}.items())
    planned = backfills.find_planned(tx, request.deployment, request.since, until) & {time for time, _ in times}
    selected = [
        (time, schedule)
        for time, schedule in times
        if time not in planned and is_selected(states, time, request.redo, is_due=time in due)
    ]
    if request.code is CodeVersion.ORIGINAL:
        _check_originals(tx, request.deployment, [time for time, _ in selected if time in states])
    return _Selection(times=selected, older=older.keys(), total=len(times), planned=len(planned))


def _find_recorded(
    tx: Transaction, request: BackfillRequest, until: datetime, due: Mapping[datetime, str]
) -> dict[datetime, str]:
    """Return the due times of the range that are in the ledger, also those of older schedules."""
    recorded = occurrences.find_schedules(tx, request.deployment, request.since, until, MAX_DUE_TIMES + 1)
    if len(recorded.keys() | due.keys()) > MAX_DUE_TIMES:
        raise too_many_due_times(request.deployment)
    return recorded


def _check_originals(tx: Transaction, name: str, times: Sequence[datetime]) -> None:
    """Raise UsageError if the run of a due time is no longer stored, because the backfill needs its commit."""
    if not times:
        return
    settled = occurrences.find_settled(tx, name, times[0], times[-1])
    stored = runs.find_all(tx, [run.run_id for run in settled.values()])
    count = sum(time not in settled or settled[time].run_id not in stored for time in times)
    if count:
        text = "1 due time has a run that retention has deleted, so its commit is unknown."
        if count > 1:
            text = f"{count} due times have runs that retention has deleted, so their commits are unknown."
        raise UsageError(text, hint="Use --latest, or choose a later range.")


def _check_parameters(
    context: OperationContext,
    request: BackfillRequest,
    deployment: Deployment,
    until: datetime,
    due_times: Sequence[DueTime],
) -> Mapping[_Declared, Run]:
    """Raise UsageError if the parameters do not fit a flow that the backfill would execute, at any of its commits.

    Return the earlier runs that were checked.
    """
    declared = {schedule.id: schedule.parameters for schedule in deployment.schedules}
    originals: Mapping[_Declared, Run] = {}
    repeated: Mapping[datetime, Run] = {}
    with context.store.read() as tx:
        queued = _latest(request, _select(tx, request, until, due_times))
        if request.code is CodeVersion.ORIGINAL:
            originals = _originals(tx, request, queued)
            repeated = find_originals(tx, request.deployment, [time for time, _ in queued])
    used = {schedule for time, schedule in queued if time not in repeated}
    if request.code is CodeVersion.LATEST:
        used |= declared.keys()
    for schedule in sorted(used):
        context.parameters.check(request.deployment, {**declared.get(schedule, {}), **request.parameters})
    context.parameters.check_originals(originals.values(), request.parameters, context.clock.now())
    return originals


def _originals(
    tx: Transaction, request: BackfillRequest, queued: Sequence[tuple[datetime, str]]
) -> Mapping[_Declared, Run]:
    """Return an earlier run of each commit that is executed again with other parameters."""
    if request.code is CodeVersion.LATEST or not request.parameters:
        return {}
    originals = find_originals(tx, request.deployment, [time for time, _ in queued])
    return {(run.revision, run.spec_digest): run for run in originals.values()}


def _latest(request: BackfillRequest, selection: _Selection) -> Sequence[tuple[datetime, str]]:
    times = selection.times
    return times if request.most is None else times[max(0, len(times) - request.most) :]


def _result(
    request: BackfillRequest, selection: _Selection, backfill: Backfill | None = None, created: Sequence[Run] = ()
) -> Backfilled:
    queued = _latest(request, selection)
    not_selected = selection.total - len(selection.times)
    return Backfilled(
        backfill_id=None if backfill is None else backfill.id,
        run_ids=tuple(run.id for run in created),
        times=tuple(time for time, _ in queued),
        older_schedule=tuple(time for time, _ in queued if time in selection.older),
        have_run=not_selected,
        already_run=not_selected,
        planned=selection.planned,
        left_out=len(selection.times) - len(queued),
    )


def _has_changed(tx: Transaction, entry: InventoryEntry) -> bool:
    current = inventory.find(tx, entry.name)
    return current is None or current.spec_digest != entry.spec_digest


def _new(
    context: OperationContext,
    tx: Transaction,
    request: BackfillRequest,
    entry: InventoryEntry,
    until: datetime,
    total: int,
    author: str,
) -> Backfill:
    deployment = context.admission.deployment(entry)
    now = context.clock.now()
    default = MAX_PARALLEL if deployment.overlap is Overlap.ALLOW else 1
    return Backfill(
        id=context.admission.ids.new(now),
        deployment=entry.name,
        state=BackfillState.RUNNING,
        since=request.since,
        until=until,
        created_at=now,
        author=author,
        total=total,
        file=entry.file,
        line=entry.line,
        document=entry.document,
        revision=entry.pinned or source_status.applied_revision(tx) or entry.revision,
        spec_digest=entry.spec_digest,
        redo=request.redo,
        code=request.code,
        parameters=request.parameters,
        parallel=request.parallel or default,
    )
