"""The invariants of a simulation: those that always hold, and those that hold after the faults have stopped.

They are checked with the store alone.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from controller.manifests.build import build_deployment
from controller.model.runs import ACTIVE, Outcome, Run, RunId, RunState, Trigger
from controller.schedules import find_due
from controller.store import backfills, inventory, occurrences, runs
from controller.store.run_search import RunFilter, select_all
from tests.simulation.machine import Machine
from tests.simulation.world import World


class Checker:
    """Checks the invariants. It remembers finished runs, to check that they never change."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._final: dict[RunId, Run] = {}

    def check_step(self) -> None:
        """Check the invariants that hold after every step."""
        with self._world.real_store.read() as tx:
            by_id = {run.id: run for run in select_all(tx, RunFilter())}
            attempts = {run.id: runs.attempts_of(tx, run.id) for run in by_id.values() if run.attempt}
        for run_id, run in self._final.items():
            assert by_id[run_id] == run, f"finished run {run_id} has changed"
        self._final = {run_id: run for run_id, run in by_id.items() if run.state.is_terminal}
        check_one_run_per_due_time(by_id.values())
        check_starts(self._world.machine)
        for run in by_id.values():
            assert 0 <= run.attempt <= run.attempts
            numbers = [attempt.number for attempt in attempts.get(run.id, [])]
            assert numbers == sorted(set(numbers))
        check_serial_runs(by_id)

    def check_end(
        self, span: tuple[datetime, datetime], gaps: list[tuple[datetime, datetime]], stable: set[str]
    ) -> None:
        """Check the invariants that hold once the faults have stopped and enough time has passed.

        For the `stable` deployments, which were never edited, the ledger must have every due time of the span, except
        those in `gaps`.
        """
        with self._world.real_store.read() as tx:
            unfinished = select_all(tx, RunFilter(states=ACTIVE))
            assert unfinished == [], f"not resolved: {[(run.id, run.state, run.reason) for run in unfinished]}"
            for run in select_all(tx, RunFilter()):
                assert run.state is RunState.SUCCEEDED or run.reason, f"{run.id} {run.state} without a reason"
            assert backfills.find_unfinished(tx) == []
            ended = backfills.find_newest(tx, 1000)
            for backfill_id, progress in backfills.count(tx, [backfill.id for backfill in ended]).items():
                assert (progress.waiting, progress.running) == (0, 0), f"backfill {backfill_id} has not ended"
            for name, entry in inventory.entries(tx).items():
                rows = occurrences.find_newest(tx, name, 100_000)
                for row in rows:
                    assert row.outcome is Outcome.RUN or row.reason
                    if row.run_id is not None:
                        run_of_row = runs.find(tx, row.run_id)
                        assert run_of_row is not None
                        assert (run_of_row.deployment, run_of_row.scheduled_for) == (name, row.scheduled_for)
                        assert (run_of_row.state is RunState.SKIPPED) is (row.outcome is Outcome.SKIPPED)
                        history = runs.history(tx, name, row.scheduled_for, row.scheduled_for)[row.scheduled_for]
                        latest = [run for run in history if run.state is not RunState.CANCELLED] or history
                        assert (row.run_id, row.state) == (latest[-1].run_id, latest[-1].state)
                if name in stable:
                    deployment = build_deployment(entry.document, entry.file, entry.line)
                    times = find_due(deployment.schedules, *span, 100_000).times
                    recorded = {row.scheduled_for for row in rows}
                    missing = [time for time, _ in times if time not in recorded and not is_within(time, gaps)]
                    assert missing == [], f"{name} misses {missing}"


def check_one_run_per_due_time(all_runs: Iterable[Run]) -> None:
    """Check that a schedule runs each due time at most once, and that no other run of it begins before that one ends.

    A retry is left out: users may retry a run of a due time that has another one.
    """
    runs_of_times = [run for run in all_runs if run.scheduled_for is not None and run.trigger is not Trigger.RETRY]
    scheduled = Counter(
        (run.deployment, run.scheduled_for)
        for run in runs_of_times
        if run.trigger is Trigger.SCHEDULE and run.state is not RunState.SKIPPED
    )
    unfinished = Counter((run.deployment, run.scheduled_for) for run in runs_of_times if not run.state.is_terminal)
    assert [key for key, count in (*scheduled.items(), *unfinished.items()) if count > 1] == []


def check_starts(machine: Machine) -> None:
    """Check that no attempt was started twice."""
    assert [key for key, count in machine.starts.items() if count > 1] == []


def check_serial_runs(by_id: dict[RunId, Run]) -> None:
    """Check that no two serial runs of a deployment are in progress at the same time, unless one backfill has both."""
    serial: dict[str, list[str | None]] = {}
    for run in by_id.values():
        if run.serial and run.state in (RunState.LAUNCHING, RunState.RUNNING):
            serial.setdefault(run.deployment, []).append(run.backfill_id)
    assert [
        name
        for name, of_backfills in serial.items()
        if len(of_backfills) > 1 and (None in of_backfills or len(set(of_backfills)) > 1)
    ] == []


def is_within(time: datetime, gaps: list[tuple[datetime, datetime]]) -> bool:
    """Return whether `time` is in one of these intervals."""
    return any(start <= time <= end for start, end in gaps)
