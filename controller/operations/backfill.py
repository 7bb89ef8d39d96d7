"""Backfills: runs for the due times of a past range that have none."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from controller.errors import ConflictError, UsageError
from controller.model.policies import Overlap
from controller.model.runs import Run, Trigger
from controller.model.status import InventoryEntry
from controller.operations.context import OperationContext, get_entry
from controller.runs.admission import ledger_entry
from controller.runs.admission_policy import Decision, DueTime
from controller.schedules import find_due_up_to
from controller.store import Transaction, inventory, occurrences, runs
from controller.time_format import in_utc

BACKFILL_PRIORITY = -10_000
"""A priority below every priority that a deployment can declare."""
_FIRST = datetime(1, 1, 2, tzinfo=UTC)
_MAX_DUE_TIMES = 10_000
"""The maximum number of due times in the range of a backfill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """A request to run the due times in [since, until] that have no run, and of those the last `most`."""

    deployment: str
    since: datetime
    until: datetime
    most: int = 100
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfilled:
    """The queued runs and their due times. `already_run`: due times that had a run; `left_out`: those beyond `max`."""

    run_ids: tuple[str, ...]
    times: tuple[datetime, ...]
    already_run: int
    left_out: int


def backfill_runs(context: OperationContext, request: Backfill, *, author: str) -> Backfilled:
    """Queue a run for each due time of a past range that has none; with `dry_run`, only return the due times.

    The missing due times are computed without a lock on the store, and checked again in the writing transaction.
    Raises NotFoundError, UsageError, ConflictError.
    """
    with context.store.read() as tx:
        entry = get_entry(tx, request.deployment)
    if not request.since <= request.until <= context.clock.now():
        raise UsageError("A backfill needs a past range: the start comes first, and the end is not after now.")
    times = _due_times(context, entry, request)
    with context.store.read() as tx:
        with_run = occurrences.times_with_run(tx, entry.name, request.since, request.until)
    missing = [time for time in times if time[0] not in with_run]
    selected = missing[max(0, len(missing) - request.most) :]
    created = () if request.dry_run or not selected else _create_runs(context, entry, selected, author)
    created_times = {run.scheduled_for for run in created}
    queued = selected if request.dry_run else [time for time in selected if time[0] in created_times]
    context.wake()
    return Backfilled(
        run_ids=tuple(run.id for run in created),
        times=tuple(time for time, _ in queued),
        already_run=len(times) - len(missing) + len(selected) - len(queued),
        left_out=len(missing) - len(selected),
    )


def _due_times(context: OperationContext, entry: InventoryEntry, request: Backfill) -> list[DueTime]:
    """Return the due times of the range, oldest first. Uses no transaction, because it may take a second."""
    schedules = context.admission.deployment(entry).schedules
    after = max(request.since, _FIRST) - timedelta(microseconds=1)
    times = find_due_up_to(schedules, after, request.until, _MAX_DUE_TIMES)
    if times is None:
        message = f"{entry.name} has more than {_MAX_DUE_TIMES} due times in this range."
        raise UsageError(message, hint="Choose a shorter range.")
    return times


def _create_runs(
    context: OperationContext, expected: InventoryEntry, times: Sequence[DueTime], author: str
) -> tuple[Run, ...]:
    """Queue runs for those of these due times that still have none. Raises ConflictError if the entry changed."""
    with context.store.write() as tx:
        entry = inventory.find(tx, expected.name)
        if entry is None or entry.spec_digest != expected.spec_digest:
            raise ConflictError(
                f"{expected.name} changed while the backfill was being prepared.", hint="Repeat the backfill."
            )
        with_run = occurrences.times_with_run(tx, entry.name, times[0][0], times[-1][0])
        created = tuple(_create_run(context, tx, entry, time) for time in times if time[0] not in with_run)
        if created:
            instants = [run.scheduled_for for run in created if run.scheduled_for is not None]
            count = "1 due time" if len(created) == 1 else f"{len(created)} due times"
            message = f"{author} backfilled {count} from {in_utc(instants[0])} to {in_utc(instants[-1])}."
            context.record_event(tx, "Backfill", message, entry.name)
    return created


def _create_run(context: OperationContext, tx: Transaction, entry: InventoryEntry, time: DueTime) -> Run:
    serial = context.admission.deployment(entry).overlap is not Overlap.ALLOW
    decision = Decision(instant=time[0], schedule=time[1], reason=None, delay=timedelta(), serial=serial)
    due_run = context.admission.due_run(tx, entry, decision, Trigger.BACKFILL)
    run = replace(due_run, priority=BACKFILL_PRIORITY, start_by=None)
    runs.insert_all(tx, [run])
    occurrences.replace_with_run(tx, ledger_entry(entry.name, decision, run))
    return run
