"""Creates the runs of backfills, page by page, and ends a backfill when all its due times have finished.

`operations` creates backfills. The engine calls `advance` when a run of a backfill has ended, at its start, and with
every tick, so that a backfill continues after any interruption. Everything is one transaction: a due time gets its run
and its place in the ledger together.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from controller.manifests import build_deployment
from controller.model.backfills import FAILURES, Backfill, BackfillState, CodeVersion, Redo
from controller.model.policies import Overlap
from controller.model.runs import ACTIVE, Run, RunState, Trigger, effective_run
from controller.model.status import Event, EventSeverity, InventoryEntry
from controller.runs.admission import Admission, ledger_entry
from controller.runs.admission_policy import Decision, DueTime
from controller.runs.outcomes import cancel
from controller.store import Transaction, backfills, events, occurrences, runs

BACKFILL_PRIORITY = -10_000
"""A priority below every priority that a deployment can declare."""
PAGE = 1000
"""The maximum number of unfinished runs of a backfill. More are created when half of them have finished."""


def select_times(
    times: Iterable[DueTime], outcomes: Mapping[datetime, RunState | None], redo: Redo | None
) -> list[DueTime]:
    """Return those of these due times that a backfill runs.

    `outcomes` has the state of each due time that has had a run: that of its latest run that was not cancelled;
    `cancelled` if all were; None if the run is no longer stored. A due time whose run has not finished is never
    selected.
    """
    return [time for time in times if _is_selected(outcomes, time[0], redo)]


def _is_selected(outcomes: Mapping[datetime, RunState | None], time: datetime, redo: Redo | None) -> bool:
    if time not in outcomes:
        return True
    state = outcomes[time]
    if redo is None or (state is not None and not state.is_terminal):
        return False
    match redo:
        case Redo.FAILED:
            return state in FAILURES or state is RunState.CANCELLED
        case Redo.SKIPPED:
            return state is RunState.SKIPPED
    return True


class BackfillRuns:
    """Creates the runs of backfills. Has no state of its own."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    def advance(self, tx: Transaction, backfill_id: str, now: datetime) -> list[Run]:
        """Create the next runs of a backfill if few are left, or end the backfill. Return the runs that were created.

        Does nothing for a backfill that is unknown or has ended. A paused one gets no new runs.
        """
        backfill = backfills.find(tx, backfill_id)
        if backfill is None or backfill.state.is_terminal:
            return []
        unfinished = backfills.count_unfinished_runs(tx, backfill_id)
        created: list[Run] = []
        if backfill.state is BackfillState.RUNNING and unfinished <= PAGE // 2:
            times = backfills.next_times(tx, backfill_id, PAGE - unfinished)
            created = self._create_runs(tx, backfill, times)
        if not created and not unfinished and not backfills.next_times(tx, backfill_id, 1):
            _end(tx, backfill, now)
        return created

    def _create_runs(self, tx: Transaction, backfill: Backfill, times: list[tuple[datetime, str]]) -> list[Run]:
        if not times:
            return []
        deployment = build_deployment(backfill.document, backfill.file, backfill.line)
        schedules = {schedule.id: schedule for schedule in deployment.schedules}
        originals = _find_originals(tx, backfill, times) if backfill.code is CodeVersion.ORIGINAL else {}
        created, ledger = [], []
        for instant, schedule_id in times:
            decision = Decision(
                instant=instant,
                schedule=schedules[schedule_id],
                reason=None,
                delay=timedelta(),
                serial=deployment.overlap is not Overlap.ALLOW,
            )
            run = self._create_run(tx, backfill, decision, originals.get(instant))
            created.append(run)
            ledger.append(ledger_entry(backfill.deployment, decision, run))
        runs.insert_all(tx, created)
        backfills.record_runs(tx, created)
        occurrences.replace_with_runs(tx, ledger)
        return created

    def _create_run(self, tx: Transaction, backfill: Backfill, decision: Decision, original: Run | None) -> Run:
        entry = _pinned_entry(backfill)
        run = self._admission.due_run(tx, entry, decision, Trigger.BACKFILL, overrides=backfill.parameters)
        if original is not None:
            run = replace(
                run,
                revision=original.revision,
                file=original.file,
                spec_digest=original.spec_digest,
                version=original.version,
                parameters={**original.parameters, **backfill.parameters},
            )
        return replace(run, priority=BACKFILL_PRIORITY, backfill_id=backfill.id)


def _find_originals(tx: Transaction, backfill: Backfill, times: list[tuple[datetime, str]]) -> Mapping[datetime, Run]:
    """Return the earlier run of each of these due times that has one."""
    history = runs.history(tx, backfill.deployment, times[0][0], times[-1][0])
    latest = {time: effective_run(entries).id for time, entries in history.items()}
    originals = runs.find_all(tx, latest.values())
    return {time: originals[run_id] for time, run_id in latest.items()}


def _pinned_entry(backfill: Backfill) -> InventoryEntry:
    """Return the deployment as it was active when the backfill was created."""
    return InventoryEntry(
        name=backfill.deployment,
        file=backfill.file,
        line=backfill.line,
        document=backfill.document,
        spec_digest=backfill.spec_digest,
        revision=backfill.revision,
        pinned=backfill.revision,
        cursor=backfill.created_at,
    )


def reopen(tx: Transaction, backfill_id: str | None) -> None:
    """Continue a backfill that has ended, because one of its runs is retried."""
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
        cancel(tx, run, reason, now)
    return True


def cancel_pruned(tx: Transaction, names: Collection[str], now: datetime) -> None:
    """Cancel the backfills of these deployments, which are about to be removed."""
    for backfill in backfills.find_unfinished(tx):
        if backfill.deployment in names:
            cancel_backfill(tx, backfill, "pruned", now)


def _end(tx: Transaction, backfill: Backfill, now: datetime) -> None:
    progress = backfills.count(tx, [backfill.id])[backfill.id]
    state = BackfillState.FAILED if progress.failed or progress.cancelled else BackfillState.SUCCEEDED
    if not backfills.move(tx, backfill.id, expect=(backfill.state,), to=state, finished_at=now):
        return
    message = f"Backfill {backfill.id} {state}: {progress.done} of {progress.total} due times are done"
    message += f", {progress.failed} failed" if progress.failed else ""
    message += f", {progress.cancelled} were cancelled" if progress.cancelled else ""
    severity = EventSeverity.WARNING if state is BackfillState.FAILED else EventSeverity.INFO
    reason = f"Backfill{state.title()}"
    event = Event(time=now, severity=severity, reason=reason, message=f"{message}.", about=backfill.deployment)
    events.append(tx, [event])
