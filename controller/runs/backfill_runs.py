"""Creates the runs of backfills, page by page, and ends a backfill when all its due times have finished.

The engine calls `advance` for the backfills that `find_ready` returns when a run of a backfill has ended, at its start,
and with every tick, so that a backfill continues after any interruption. Everything is one transaction: a due time gets
its run and its place in the ledger together.

A due time that has had another run since the backfill was created, for example by hand, gets no further one: the
backfill adopts that run.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from controller.manifests.build import build_deployment
from controller.manifests.run_references import MissingValueError
from controller.model.backfills import Backfill, BackfillState, CodeVersion
from controller.model.runs import DueRun, Run, RunId, RunState
from controller.model.schedules import Schedule
from controller.model.status import InventoryEntry
from controller.runs.admission import Admission
from controller.runs.backfills import end_backfill
from controller.runs.due_times import ledger_entry
from controller.runs.upstream_runs import record_missing_values, with_latest_upstream
from controller.store import Transaction, backfills, occurrences, runs

BACKFILL_PRIORITY = -10_000
"""A priority below every priority that a deployment can declare."""
PAGE = 1000
"""The maximum number of unfinished runs of a backfill. More are created when half of them have finished."""
REFILL = PAGE // 2


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
        if not unfinished:
            backfills.release_times(tx, backfill_id)
        times = backfills.next_times(tx, backfill_id, PAGE - unfinished) if unfinished <= REFILL else []
        if times:
            return self._create_runs(tx, backfill, times) if backfill.state is BackfillState.RUNNING else []
        if not unfinished:
            end_backfill(tx, backfill, now)
        return []

    def _create_runs(self, tx: Transaction, backfill: Backfill, times: list[tuple[datetime, str]]) -> list[Run]:
        """Create the runs of these due times, except of those whose newer run is adopted."""
        history = runs.history(tx, backfill.deployment, times[0][0], times[-1][0])
        newer = _find_newer(tx, backfill, [history.get(instant, []) for instant, _ in times])
        backfills.adopt_runs(tx, backfill.id, newer)
        deployment = build_deployment(backfill.document, backfill.file, backfill.line)
        schedules = {schedule.id: schedule for schedule in deployment.schedules}
        is_original = backfill.code is CodeVersion.ORIGINAL
        originals = find_originals(tx, backfill.deployment, [time for time, _ in times]) if is_original else {}
        created, ledger = [], []
        failed: list[tuple[Run, MissingValueError]] = []
        for instant, schedule_id in times:
            if instant in newer:
                continue
            run = self._create_run(tx, backfill, instant, schedules.get(schedule_id), originals.get(instant))
            try:
                run = self._admission.with_variables(run)
                run = with_latest_upstream(tx, deployment, run, self._admission.deployments)
            except MissingValueError as error:
                failed.append((run, error))
            created.append(run)
            ledger.append(ledger_entry(run, schedule_id))
        runs.insert_all(tx, created)
        backfills.record_runs(tx, created)
        occurrences.record_runs(tx, ledger)
        if failed:
            record_missing_values(tx, failed, failed[0][0].created_at)
        return created

    def _create_run(
        self, tx: Transaction, backfill: Backfill, due_time: datetime, schedule: Schedule | None, original: Run | None
    ) -> Run:
        entry = _pinned_entry(backfill)
        if original is not None:
            entry = replace(entry, pinned=original.revision)
        run = self._admission.backfill_run(tx, entry, due_time, schedule, backfill.parameters)
        if original is not None:
            run = replace(
                run,
                file=original.file,
                spec_digest=original.spec_digest,
                version=original.version,
                parameters={**original.parameters, **{name: run.parameters[name] for name in backfill.parameters}},
            )
        return replace(run, priority=BACKFILL_PRIORITY, backfill_id=backfill.id)


def _find_newer(tx: Transaction, backfill: Backfill, histories: Iterable[list[DueRun]]) -> Mapping[datetime, RunId]:
    """Return the latest run of each due time that is newer than the backfill.

    Runs that were cancelled, or skipped before they started, are ignored.
    """
    ids = [run.run_id for history in histories for run in history if run.run_id > backfill.id]
    stored = runs.find_all(tx, ids)
    return {
        run.scheduled_for: run.id
        for run in (stored[run_id] for run_id in ids)
        if run.scheduled_for is not None
        and run.state is not RunState.CANCELLED
        and (run.attempt or run.state is not RunState.SKIPPED)
    }


def find_originals(tx: Transaction, deployment: str, times: Sequence[datetime]) -> Mapping[datetime, Run]:
    """Return the earlier run of each of these due times, oldest first, that has one."""
    if not times:
        return {}
    settled = occurrences.find_settled(tx, deployment, times[0], times[-1])
    originals = runs.find_all(tx, [settled[time].run_id for time in times if time in settled])
    return {time: originals[run.run_id] for time in times if (run := settled.get(time)) and run.run_id in originals}


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
