"""What must hold at every moment, and what must hold when the faults have stopped. Asked of the store alone."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from controller.manifests import build_deployment
from controller.model.runs import ACTIVE, Outcome, Run, RunId, RunState, Trigger
from controller.schedules import find_due
from controller.store import inventory, occurrences, runs
from controller.store.run_search import RunFilter, select_all
from tests.simulation.machine import Machine
from tests.simulation.world import World

FROM_DUE_TIMES = (Trigger.SCHEDULE, Trigger.BACKFILL)


class Checker:
    """Remembers what was final, to see that it stays so."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._final: dict[RunId, Run] = {}

    def always(self) -> None:
        """After every step."""
        with self._world.real_store.read() as tx:
            found = {run.id: run for run in select_all(tx, RunFilter())}
            tries = {run.id: runs.attempts_of(tx, run.id) for run in found.values() if run.attempt}
        for run_id, run in self._final.items():
            assert found[run_id] == run, f"{run_id} was final"
        self._final = {run_id: run for run_id, run in found.items() if run.state.is_terminal}
        once_each(found.values())
        at_most_one_start(self._world.machine)
        for run in found.values():
            assert 0 <= run.attempt <= run.attempts
            numbers = [attempt.number for attempt in tries.get(run.id, [])]
            assert numbers == sorted(set(numbers))
        one_after_another(found)

    def in_the_end(
        self, span: tuple[datetime, datetime], gaps: list[tuple[datetime, datetime]], stable: set[str]
    ) -> None:
        """When the faults have stopped and enough time has passed.

        Of the `stable` deployments, which nobody edited, every due time of the span must be in the ledger, but for
        those in `gaps`.
        """
        with self._world.real_store.read() as tx:
            left = select_all(tx, RunFilter(states=ACTIVE))
            assert left == [], f"not resolved: {[(run.id, run.state, run.reason) for run in left]}"
            for run in select_all(tx, RunFilter()):
                assert run.state is RunState.SUCCEEDED or run.reason, f"{run.id} {run.state} without a reason"
            for name, entry in inventory.entries(tx).items():
                rows = occurrences.find_newest(tx, name, 100_000)
                for row in rows:
                    assert row.outcome is Outcome.RUN or row.reason
                    if row.run_id is not None:
                        run_of_row = runs.find(tx, row.run_id)
                        assert run_of_row is not None
                        assert (run_of_row.deployment, run_of_row.scheduled_for) == (name, row.scheduled_for)
                        assert (run_of_row.state is RunState.SKIPPED) is (row.outcome is Outcome.SKIPPED)
                if name in stable:
                    deployment = build_deployment(entry.document, entry.file, entry.line)
                    times = find_due(deployment.schedules, *span, 100_000).times
                    known = {row.scheduled_for for row in rows}
                    silent = [time for time, _ in times if time not in known and not within(time, gaps)]
                    assert silent == [], f"{name} misses {silent}"


def once_each(found: Iterable[Run]) -> None:
    """A due time has one run at most that is not a skip: one that has waited in vain may be filled in later."""
    keys = Counter(
        (run.deployment, run.scheduled_for)
        for run in found
        if run.trigger in FROM_DUE_TIMES and run.state is not RunState.SKIPPED
    )
    assert [key for key, count in keys.items() if count > 1] == []


def at_most_one_start(machine: Machine) -> None:
    """No attempt is started twice."""
    assert [key for key, count in machine.starts.items() if count > 1] == []


def one_after_another(found: dict[RunId, Run]) -> None:
    """Serial runs of one deployment are not under way together."""
    serial = Counter(
        run.deployment for run in found.values() if run.serial and run.state in (RunState.LAUNCHING, RunState.RUNNING)
    )
    assert [name for name, count in serial.items() if count > 1] == []


def within(time: datetime, gaps: list[tuple[datetime, datetime]]) -> bool:
    """Whether it lies in one of these stretches."""
    return any(start <= time <= end for start, end in gaps)
