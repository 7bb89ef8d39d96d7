"""The machine of a simulation: flows as entries of a table, which outlive every controller.

It stands where `Launcher` and the supervisors stand, and the monitor here where `Watchlist` does: it keeps the same
order of writes, and asks the table instead of a directory what became of an attempt.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from controller.model.deployments import Deployment
from controller.model.queues import EVERYTHING
from controller.model.runs import Attempt, Run, RunState
from controller.runs.monitor import NextRuns
from controller.runs.outcomes import record_outcomes, reported_outcome, unreported_outcome
from controller.runs.recovery import Finished
from controller.store import Store, queues, runs
from controller.store.run_search import RunFilter, select_all
from tests.conftest import ManualClock


@dataclass(slots=True)
class Flow:
    """One attempt whose supervisor had leave to start it. `ends` is in seconds that have passed, not of the clock."""

    run_id: str
    attempt: int
    ends: float
    outcome: RunState
    is_lost: bool = False


class Machine:
    """What runs, by nonce, and how often each attempt was started."""

    def __init__(self, random: Random, clock: ManualClock) -> None:
        self._random = random
        self._clock = clock
        self.flows: dict[str, Flow] = {}
        self.starts: Counter[tuple[str, int]] = Counter()
        self.nonces = 0
        self.is_calm = False

    def start(self, run: Run, attempt: Attempt, timeout: timedelta | None) -> None:
        """The flow's code begins."""
        self.starts[run.id, attempt.number] += 1
        seconds = self._random.choice([0, 1, 5] if self.is_calm else [0, 1, 5, 30, 300, 3000]) * self._random.random()
        outcome = self._random.choice([RunState.SUCCEEDED] * 3 + [RunState.FAILED])
        if timeout is not None and seconds > timeout.total_seconds():
            seconds, outcome = timeout.total_seconds(), RunState.TIMED_OUT
        self.flows[attempt.nonce] = Flow(run.id, attempt.number, self._clock.elapsed() + seconds, outcome)

    def living(self) -> list[Flow]:
        """What runs now."""
        return [flow for flow in self.flows.values() if not flow.is_lost and flow.ends > self._clock.elapsed()]

    def lose(self) -> None:
        """Somebody kills a supervisor, and its flow goes with it."""
        living = self.living()
        if living:
            self._random.choice(living).is_lost = True

    def end(self, nonce: str) -> None:
        """SIGTERM: it ends soon, as cancelled."""
        flow = self.flows.get(nonce)
        if flow is not None and flow.ends > self._clock.elapsed():
            flow.ends, flow.outcome = self._clock.elapsed() + self._random.random(), RunState.CANCELLED


@dataclass(slots=True)
class Seen:
    """One run that is watched."""

    run: Run
    attempt: Attempt


class SimulatedMonitor:
    """The runs under way. `check` is called with every run that is about to start."""

    def __init__(self, store: Store, clock: ManualClock, machine: Machine, fault: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._machine = machine
        self._fault = fault
        self._seen: dict[str, Seen] = {}
        self.missing_resource: str | None = None
        """Nothing is ever short here."""

    def __len__(self) -> int:
        return len(self._seen)

    def recover(self) -> None:
        """Take over what a controller before us left."""
        self.take_turn([], lambda _: [], everything=True)

    def take_turn(self, _ready: Sequence[Any], waiting: NextRuns, *, everything: bool) -> bool:
        """Hear every supervisor that ended, then launch what has a place. Whether any has ended."""
        if everything:
            self._take_over()
        before = list(self._seen.values())
        for seen in before:
            self._judge(seen)
        settled = len(before) > len(self._seen)
        for one in waiting(len(self._seen)):
            self._launch(one.run, one.deployment)
        return settled

    def _take_over(self) -> None:
        with self._store.read() as tx:
            claimed = select_all(tx, RunFilter(states=(RunState.LAUNCHING, RunState.RUNNING)))
            for run in claimed:
                if run.id not in self._seen:
                    self._seen[run.id] = Seen(run, runs.attempts_of(tx, run.id)[-1])

    def _launch(self, run: Run, deployment: Deployment) -> None:
        """Claim, start, GO, with a chance to be killed between each."""
        self._machine.nonces += 1
        number = run.attempt or 1
        attempt = Attempt(
            run_id=run.id,
            number=number,
            nonce=f"n{self._machine.nonces}",
            boot_id="b",
            state=RunState.LAUNCHING,
        )
        with self._store.write() as tx:
            if not runs.move(tx, run.id, expect=RunState.PENDING, to=RunState.LAUNCHING, attempt=number):
                return
            runs.start_attempt(tx, attempt)
            claimed = runs.find(tx, run.id)
            assert claimed is not None
            self._check(claimed, queues.load(tx, self._clock.now()))
        self._fault()
        now = self._clock.now()
        with self._store.write() as tx:
            runs.move(tx, run.id, expect=RunState.LAUNCHING, to=RunState.RUNNING, started_at=now)
            runs.move_attempt(tx, run.id, number, RunState.RUNNING, started_at=now)
        self._fault()
        self._machine.start(claimed, attempt, deployment.timeout)
        self._seen[run.id] = Seen(claimed, attempt)

    def _check(self, run: Run, load: Any) -> None:
        """Limits are kept with every start."""
        for name in (run.queue, EVERYTHING):
            limit = load.limits.get(name)
            assert limit is None or load.running[name] <= limit, f"queue {name}: {load.running[name]} of {limit}"

    def fail_launch(self, run: Run, reason: str) -> None:
        """It can't be launched."""
        now = self._clock.now()
        with self._store.write() as tx:
            record_outcomes(tx, [unreported_outcome(run, RunState.FAILED, f"not launched: {reason}", now)], now)

    def stop_run(self, run_id: str) -> None:
        """Ask its supervisor to end it."""
        seen = self._seen.get(run_id)
        if seen is not None:
            self._machine.end(seen.attempt.nonce)

    def _judge(self, seen: Seen) -> None:
        """The decision table, by the machine's own record."""
        flow = self._machine.flows.get(seen.attempt.nonce)
        now = self._clock.now()
        if flow is not None and not flow.is_lost and flow.ends > self._clock.elapsed():
            return
        with self._store.write() as tx:
            run = runs.find(tx, seen.run.id)
            assert run is not None
            if flow is None and run.cancel_reason is not None:
                record_outcomes(tx, [unreported_outcome(run, RunState.CANCELLED, run.cancel_reason, now)], now)
            elif flow is None:
                runs.move(tx, run.id, expect=run.state, to=RunState.PENDING, started_at=None)
            elif flow.is_lost:
                record_outcomes(tx, [unreported_outcome(run, RunState.CRASHED, "outcome unknown", now)], now)
            else:
                record_outcomes(tx, [reported_outcome(run, _ended(flow, now), now)], now)
        del self._seen[seen.run.id]


def _ended(flow: Flow, now: datetime) -> Finished:
    code = 0 if flow.outcome is RunState.SUCCEEDED else 1
    return Finished(
        state=flow.outcome,
        reason=flow.outcome.value,
        exit_code=code,
        signal=None,
        started_at=None,
        finished_at=now,
        result=None,
    )
