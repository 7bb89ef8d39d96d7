"""The invariants of a simulation: those that always hold, and those that hold after the faults have stopped.

They are checked with the store alone.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from controller.manifests.build import build_deployment
from controller.model.deployments import Deployment
from controller.model.runs import ACTIVE, DueRun, Occurrence, Outcome, Run, RunId, RunState, Trigger
from controller.model.schedules import Schedule
from controller.runs import upstream_events
from controller.schedules import find_due, find_exclusion, is_exclusion
from controller.store import Transaction, backfills, events, finished_upstreams, gates, inventory, occurrences, runs
from controller.store.run_search import RunFilter, select_all
from tests.simulation.machine import Machine
from tests.simulation.world import World

_COUNTED = re.compile(r"missed since (?P<first>.+) and skipped; (?P<count>\d+) of them are not in the ledger")
_INSTANT = timedelta(microseconds=1)


class Checker:
    """Checks the invariants. It remembers finished runs, to check that they never change."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._final: dict[RunId, Run] = {}
        self._skips = SkipChecker()
        self._deleted: set[RunId] = set()
        self._last_event = 0

    def check_step(self) -> None:
        """Check the invariants that hold after every step."""
        with self._world.real_store.read() as tx:
            by_id = {run.id: run for run in select_all(tx, RunFilter())}
            attempts = {run.id: runs.attempts_of(tx, run.id) for run in by_id.values() if run.attempt}
            ledger = [row for name in inventory.entries(tx) for row in occurrences.find_newest(tx, name, 1000)]
            policies = {name: entry.document.get("overlap", "skip") for name, entry in inventory.entries(tx).items()}
            gated = set(gates.find_waiting_by_run(tx))
            self._note_deleted(tx, by_id.values())
            self._world.inbox.check(tx)
            self._world.sender.check(tx)
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
        check_uncertain_runs(by_id)
        now = self._world.clock.now()
        unready = gated | {run.id for run in by_id.values() if run.not_before is not None and run.not_before > now}
        self._skips.check_step(by_id, ledger, policies, unready)

    def check_end(
        self, span: tuple[datetime, datetime], gaps: list[tuple[datetime, datetime]], stable: set[str]
    ) -> None:
        """Check the invariants that hold once the faults have stopped and enough time has passed.

        For the `stable` deployments, which were never edited, the ledger must have every due time of the span, except
        those in `gaps`.
        """
        with self._world.real_store.read() as tx:
            self._note_deleted(tx, select_all(tx, RunFilter()))
            unfinished = select_all(tx, RunFilter(states=ACTIVE))
            assert unfinished == [], f"not resolved: {[(run.id, run.state, run.reason) for run in unfinished]}"
            for run in select_all(tx, RunFilter()):
                assert run.state is RunState.SUCCEEDED or run.reason, f"{run.id} {run.state} without a reason"
            assert backfills.find_unfinished(tx) == []
            check_releases(tx)
            self._world.inbox.check(tx)
            self._world.inbox.check_end()
            self._world.sender.check_end(tx)
            ended = backfills.find_newest(tx, 1000)
            for backfill_id, progress in backfills.count(tx, [backfill.id for backfill in ended]).items():
                assert (progress.waiting, progress.running) == (0, 0), f"backfill {backfill_id} has not ended"
            for name, entry in inventory.entries(tx).items():
                rows = occurrences.find_newest(tx, name, 100_000)
                for row in rows:
                    self._check_row(tx, row)
                if name in stable:
                    deployment = build_deployment(entry.document, entry.file, entry.line)
                    times = find_due(deployment.schedules, *span, 100_000).times
                    recorded = {row.scheduled_for for row in rows} | counted_times(tx, deployment, span[1])
                    missing = [time for time, _ in times if time not in recorded and not is_within(time, gaps)]
                    assert missing == [], f"{name} misses {missing}"
                    check_exclusions(tx, rows, dict(times))

    def _note_deleted(self, tx: Transaction, all_runs: Iterable[Run]) -> None:
        """Note the runs that were skipped for times after one to which the clock was set back.

        Unless a redo of such a due time is unfinished, its row is deleted, so that the time is decided again when it is
        due.
        """
        for number, event in events.after(tx, self._last_event, limit=100_000):
            self._last_event = number
            if event.reason == "ClockJumped" and "set back" in event.message:
                self._deleted |= {
                    run.id
                    for run in all_runs
                    if run.state is RunState.SKIPPED
                    and run.scheduled_for is not None
                    and run.scheduled_for > event.time
                }

    def _check_row(self, tx: Transaction, row: Occurrence) -> None:
        """Check that a row of the ledger has a reason or the run that decides the state of the due time."""
        assert row.outcome is Outcome.RUN or row.reason
        if row.run_id is None:
            return
        run = runs.find(tx, row.run_id)
        assert run is not None
        assert (run.deployment, run.scheduled_for) == (row.deployment, row.scheduled_for)
        assert (run.state is RunState.SKIPPED) is (row.outcome is Outcome.SKIPPED)
        history = runs.history(tx, row.deployment, row.scheduled_for, row.scheduled_for)[row.scheduled_for]
        kept = [run for run in history if run.run_id not in self._deleted]
        latest = [find_latest(some) for some in (history, kept) if some]
        assert (row.run_id, row.state) in [(run.run_id, run.state) for run in latest], (row, latest)


class SkipChecker:
    """Checks that no due time is skipped because of a redo run (a run of a backfill, a retry, a run for a due time).

    It observes which runs have to wait for one, directly or behind another run that does, and accepts a skip only if
    another unfinished run can be its cause.
    """

    def __init__(self) -> None:
        self._delayed: set[RunId] = set()
        self._undelayed: dict[str, set[RunId]] = {}
        self._skipped: set[tuple[str, datetime]] = set()
        self._known: set[RunId] = set()

    def check_step(
        self,
        by_id: dict[RunId, Run],
        ledger: Iterable[Occurrence],
        policies: dict[str, Any],
        unready: Collection[RunId],
    ) -> None:
        """Check the due times that were skipped in this step. The `unready` runs would wait without any redo run."""
        before, self._undelayed = self._undelayed, {}
        created = {run.deployment for run in by_id.values() if run.id not in self._known and not run.is_redo}
        self._known |= set(by_id)
        live = [run for run in by_id.values() if not run.is_redo and not run.state.is_terminal]
        redoing = {run.deployment for run in by_id.values() if run.is_redo and run.is_in_progress}
        is_waiting = [run for run in live if run.serial and run.state is RunState.PENDING]
        for run in sorted(is_waiting, key=lambda run: run.id):
            is_behind = any(other.id in self._delayed for other in live if other.deployment == run.deployment)
            if run.id not in unready and (run.deployment in redoing or is_behind):
                self._delayed.add(run.id)
        for run in live:
            if run.id not in self._delayed:
                self._undelayed.setdefault(run.deployment, set()).add(run.id)
        for row in ledger:
            key = (row.deployment, row.scheduled_for)
            if row.outcome is Outcome.RUN or row.reason != "overlap" or key in self._skipped:
                continue
            self._skipped.add(key)
            if row.run_id is not None:
                assert row.run_id not in self._delayed, f"{row.run_id} was replaced while it waited for a redo run"
            elif policies[row.deployment] == "skip":
                causes = before.get(row.deployment, set()) | self._undelayed.get(row.deployment, set())
                assert causes or row.deployment in created, f"{key} was skipped because of a redo run"


def check_releases(tx: Transaction) -> None:
    """Check that everything was evaluated, and that each success of `a` has released exactly one run of `e`.

    A redo of a due time, or a retry, does not count again.
    """
    assert finished_upstreams.find(tx, 10) == {}
    assert gates.find_redone(tx) == []
    finished = select_all(tx, RunFilter(deployment="a", states=(RunState.SUCCEEDED,)))
    chains = {upstream_events.chain_of(tx, run) for run in finished}
    of_e = select_all(tx, RunFilter(deployment="e", trigger=Trigger.UPSTREAM.value))
    released_by = [runs.find(tx, run.upstream[0].run_id) for run in of_e]
    released = Counter(upstream_events.chain_of(tx, run) for run in released_by if run is not None)
    assert released == Counter(chains), (released - Counter(chains), Counter(chains) - released)


def find_latest(history: Sequence[DueRun]) -> DueRun:
    """Return the run that decides the state of a due time: the latest one that was not cancelled, or the latest."""
    return ([run for run in history if run.state is not RunState.CANCELLED] or history)[-1]


def check_one_run_per_due_time(all_runs: Iterable[Run]) -> None:
    """Check that a schedule runs each due time at most once, and that no due time has two unfinished runs."""
    runs_of_times = [run for run in all_runs if run.scheduled_for is not None]
    scheduled = Counter(
        (run.deployment, run.scheduled_for)
        for run in runs_of_times
        if run.trigger is Trigger.SCHEDULE and run.state is not RunState.SKIPPED
    )
    unfinished = Counter((run.deployment, run.scheduled_for) for run in runs_of_times if not run.state.is_terminal)
    assert [key for key, count in (*scheduled.items(), *unfinished.items()) if count > 1] == []


def counted_times(tx: Transaction, deployment: Deployment, until: datetime) -> set[datetime]:
    """Return the due times up to `until` that were counted and not recorded, because too many were missed at once."""
    counted: set[datetime] = set()
    for event in events.latest(tx, 100_000, about=deployment.name):
        found = _COUNTED.search(event.message)
        if found is not None and event.reason == "MissedTimes" and event.time <= until:
            first = datetime.strptime(found["first"], "%Y-%m-%d %H:%M:%S %Z").replace(tzinfo=UTC)
            times = find_due(deployment.schedules, first - _INSTANT, event.time, 100_000).times
            counted |= {time for time, _ in times[: int(found["count"])]}
    return counted


def check_exclusions(tx: Transaction, rows: Iterable[Occurrence], schedules: Mapping[datetime, Schedule]) -> None:
    """Check that exactly the due times that calendars or windows leave out were skipped for that reason.

    A redo run of a due time starts at any time.
    """
    for row in rows:
        schedule = schedules.get(row.scheduled_for)
        run = None if row.run_id is None else runs.find(tx, row.run_id)
        if schedule is not None and not (run is not None and run.is_redo):
            expected = find_exclusion(schedule, row.scheduled_for)
            was_excluded = row.run_id is None and is_exclusion(row.reason or "")
            # A due time in a window that was missed is skipped if it is decided outside.
            assert row.reason == expected if expected else not was_excluded or schedule.windows, (row, expected)


def check_starts(machine: Machine) -> None:
    """Check that no attempt was started twice."""
    assert [key for key, count in machine.starts.items() if count > 1] == []


def check_uncertain_runs(by_id: dict[RunId, Run]) -> None:
    """Check that only runs in progress are marked as uncertain, each with the time and the reason."""
    for run in by_id.values():
        is_marked = run.uncertain_since is not None
        assert is_marked == (run.uncertain_reason is not None), run
        assert run.is_in_progress or not is_marked, run


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
