"""Selects the due times of a backfill, and changes the state of one: end, cancel and reopen. See `backfill_runs`."""

from collections.abc import Collection, Mapping
from datetime import datetime

from controller.model.backfills import Backfill, BackfillState, Redo
from controller.model.runs import ACTIVE, FAILURES, Run, RunState
from controller.model.status import Event, EventSeverity
from controller.runs.outcomes import cancel
from controller.store import Transaction, backfills, events, runs


def is_selected(states: Mapping[datetime, RunState | None], time: datetime, redo: Redo | None, *, is_due: bool) -> bool:
    """Return whether a backfill runs this due time.

    `states` has the state of each due time that has had a run, see `store.occurrences.find_states`. A due time whose
    run has not finished is never selected. With `is_due`, an active schedule is due at this time; then a backfill also
    runs it if it has had no run. Otherwise it was due under an older schedule, and runs only if `redo` selects it.
    """
    if time not in states:
        return is_due or redo in (Redo.SKIPPED, Redo.ALL)
    state = states[time]
    if redo is None or (state is not None and not state.is_terminal):
        return False
    match redo:
        case Redo.FAILED:
            return state in FAILURES or state is RunState.CANCELLED
        case Redo.SKIPPED:
            return state is RunState.SKIPPED
    return True


def reopen(tx: Transaction, backfill_id: str | None) -> None:
    """Continue a backfill that has ended, because the run of one of its due times is retried."""
    if backfill_id is not None:
        ended = (BackfillState.SUCCEEDED, BackfillState.FAILED, BackfillState.CANCELLED)
        backfills.move(tx, backfill_id, expect=ended, to=BackfillState.RUNNING)


def cancel_backfill(tx: Transaction, backfill: Backfill, reason: str, now: datetime) -> bool:
    """Cancel a backfill with its unfinished runs. Return False if it has already ended."""
    expect = (BackfillState.RUNNING, BackfillState.PAUSED)
    if not backfills.move(tx, backfill.id, expect=expect, to=BackfillState.CANCELLED, finished_at=now):
        return False
    backfills.cancel_times(tx, backfill.id)
    for run in backfills.find_runs(tx, backfill.id, ACTIVE):
        if run.backfill_id == backfill.id:  # others were requested or scheduled on their own
            cancel(tx, run, reason, now)
    return True


def cancel_pruned(tx: Transaction, names: Collection[str], now: datetime) -> None:
    """Cancel the backfills of these deployments, which are about to be removed."""
    for backfill in backfills.find_unfinished(tx):
        if backfill.deployment in names:
            cancel_backfill(tx, backfill, "pruned", now)


def end_backfill(tx: Transaction, backfill: Backfill, now: datetime) -> None:
    """End a backfill whose due times have all finished."""
    _ignore_cancelled_retries(tx, backfill)
    progress = backfills.count(tx, [backfill.id])[backfill.id]
    state = BackfillState.FAILED if progress.failed or progress.cancelled else BackfillState.SUCCEEDED
    if not backfills.move(tx, backfill.id, expect=(backfill.state,), to=state, finished_at=now):
        return
    message = f"Backfill {backfill.id} {state}: {progress.done} of {progress.total} due times are done"
    message += f", {progress.failed} failed" if progress.failed else ""
    message += f", {progress.cancelled} were cancelled" if progress.cancelled else ""
    severity = EventSeverity.WARNING if state is BackfillState.FAILED else EventSeverity.INFO
    reason = f"Backfill{state.title()}"
    name = backfill.deployment
    event = Event(time=now, severity=severity, reason=reason, message=f"{message}.", about=name, deployment=name)
    events.append(tx, [event])


def _ignore_cancelled_retries(tx: Transaction, backfill: Backfill) -> None:
    """Count a due time by the run that was retried if all retries of it were cancelled."""
    for run in backfills.find_runs(tx, backfill.id, (RunState.CANCELLED,)):
        earlier: Run | None = run
        while earlier is not None and earlier.state is RunState.CANCELLED:
            earlier = None if earlier.retry_of is None else runs.find(tx, earlier.retry_of)
        if earlier is not None and earlier.scheduled_for is not None:
            backfills.adopt_runs(tx, backfill.id, {earlier.scheduled_for: earlier.id})
