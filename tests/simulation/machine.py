"""The simulated machine: flows are entries of a table, which survive restarts of the controller.

`Machine` replaces the executor and the supervisors, and `SimulatedMonitor` replaces `RunMonitor`. The simulated monitor
writes to the store in the same order, and reads outcomes of attempts from the table instead of from directories.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from controller.model.deployments import Deployment
from controller.model.queues import EVERYTHING
from controller.model.runs import Attempt, Run, RunOutcome, RunState
from controller.runs.executors.executor import Launchable
from controller.runs.outcomes import record_outcomes
from controller.store import Store, queues, run_transitions, runs
from controller.store.run_search import RunFilter, select_all
from tests.conftest import ManualClock


@dataclass(slots=True)
class Flow:
    """One attempt whose supervisor has received GO. `ends` is on the scale of `Clock.elapsed`, in seconds."""

    run_id: str
    attempt: int
    ends: float
    outcome: RunState
    is_lost: bool = False


class Machine:
    """All flows by nonce, and how often each attempt was started."""

    def __init__(self, random: Random, clock: ManualClock) -> None:
        self._random = random
        self._clock = clock
        self.flows: dict[str, Flow] = {}
        self.starts: Counter[tuple[str, int]] = Counter()
        self.nonces = 0
        self.is_calm = False

    def start(self, run: Run, attempt: Attempt, timeout: timedelta | None) -> None:
        """Start a flow with a random duration and outcome."""
        self.starts[run.id, attempt.number] += 1
        seconds = self._random.choice([0, 1, 5] if self.is_calm else [0, 1, 5, 30, 300, 3000]) * self._random.random()
        outcome = self._random.choice([RunState.SUCCEEDED] * 3 + [RunState.FAILED])
        if timeout is not None and seconds > timeout.total_seconds():
            seconds, outcome = timeout.total_seconds(), RunState.TIMED_OUT
        self.flows[attempt.nonce] = Flow(run.id, attempt.number, self._clock.elapsed() + seconds, outcome)

    def running_flows(self) -> list[Flow]:
        """Return the flows that are running."""
        return [flow for flow in self.flows.values() if not flow.is_lost and flow.ends > self._clock.elapsed()]

    def kill_supervisor(self) -> None:
        """Kill a random supervisor, together with its flow."""
        flows = self.running_flows()
        if flows:
            self._random.choice(flows).is_lost = True

    def end(self, nonce: str) -> None:
        """Send SIGTERM to a flow: it ends within a second, as cancelled."""
        flow = self.flows.get(nonce)
        if flow is not None and flow.ends > self._clock.elapsed():
            flow.ends, flow.outcome = self._clock.elapsed() + self._random.random(), RunState.CANCELLED


class SimulatedExecutor:
    """Has no fork servers: the simulated monitor starts the flows."""

    def maintain(self) -> None:
        """Do nothing."""

    def capacity(self) -> int:
        """Return a number that limits nothing."""
        return 1 << 20


@dataclass(slots=True)
class ActiveRun:
    """One run that is monitored, with its current attempt."""

    run: Run
    attempt: Attempt


class SimulatedMonitor:
    """Monitors the runs in progress. `fault` is called wherever the controller may be killed."""

    def __init__(self, store: Store, clock: ManualClock, machine: Machine, fault: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._machine = machine
        self._fault = fault
        self._active: dict[str, ActiveRun] = {}
        self._ended: list[tuple[Any, None]] = []

    def __len__(self) -> int:
        return len(self._active) + len(self._ended)

    def take_shortage(self) -> str | None:
        """Return None: launches lack nothing in a simulation."""
        return None

    def recover(self) -> None:
        """Take over the runs of the previous controller."""
        self.commit(self.find_ended([], everything=True), [])

    def find_ended(self, _ready: Sequence[Any], *, everything: bool) -> list[tuple[Any, None]]:
        """Record the outcomes of finished attempts, and return the attempts as pairs, as the monitor does."""
        if everything:
            self._take_over()
        before = list(self._active.values())
        for active in before:
            self._record_outcome(active)
        self._ended = [(active, None) for active in before if active.run.id not in self._active]
        return self._ended

    def commit(self, _ended: Sequence[tuple[Any, None]], batch: Sequence[Launchable]) -> None:
        """Launch these runs."""
        self._ended = []
        for launch in batch:
            self._launch(launch.run, launch.deployment)

    def _take_over(self) -> None:
        with self._store.read() as tx:
            claimed = select_all(tx, RunFilter(states=(RunState.LAUNCHING, RunState.RUNNING)))
            for run in claimed:
                if run.id not in self._active:
                    self._active[run.id] = ActiveRun(run, runs.attempts_of(tx, run.id)[-1])

    def _launch(self, run: Run, deployment: Deployment) -> None:
        """Claim a run, record its start and send GO. The controller may be killed between these steps."""
        self._machine.nonces += 1
        attempt = Attempt(
            run_id=run.id,
            number=run.attempt or 1,
            nonce=f"n{self._machine.nonces}",
            boot_id="b",
            state=RunState.LAUNCHING,
        )
        with self._store.write() as tx:
            if not run_transitions.claim(tx, [attempt]):
                return
            claimed = runs.find(tx, run.id)
            assert claimed is not None
            self._check_limits(claimed, queues.read_load(tx, self._clock.now()))
        self._fault()
        with self._store.write() as tx:
            run_transitions.start(tx, [attempt], self._clock.now())
        self._fault()
        self._machine.start(claimed, attempt, deployment.timeout)
        self._active[run.id] = ActiveRun(claimed, attempt)

    def _check_limits(self, run: Run, load: Any) -> None:
        """Check that this start exceeds no limit."""
        for name in (run.queue, EVERYTHING):
            limit = load.limits.get(name)
            assert limit is None or load.running[name] <= limit, f"queue {name}: {load.running[name]} of {limit}"

    def refuse(self, run: Run, reason: str) -> None:
        """Record that a run can't be launched."""
        outcome = RunOutcome(state=RunState.FAILED, reason=f"not launched: {reason}")
        with self._store.write() as tx:
            record_outcomes(tx, [(run, outcome)], self._clock.now())

    def request_stop(self, run_id: str) -> None:
        """Ask the supervisor of a run to stop it."""
        active = self._active.get(run_id)
        if active is not None:
            self._machine.end(active.attempt.nonce)

    def _record_outcome(self, active: ActiveRun) -> None:
        """Record the outcome of an attempt that is not running any more, according to the machine's table."""
        flow = self._machine.flows.get(active.attempt.nonce)
        now = self._clock.now()
        if flow is not None and not flow.is_lost and flow.ends > self._clock.elapsed():
            return
        with self._store.write() as tx:
            run = runs.find(tx, active.run.id)
            assert run is not None
            if flow is None and run.cancel_reason is None:
                runs.move(tx, run.id, expect=run.state, to=RunState.PENDING, started_at=None)
            else:
                record_outcomes(tx, [(run, _outcome(flow, run, now))], now)
        del self._active[active.run.id]


def _outcome(flow: Flow | None, run: Run, now: datetime) -> RunOutcome:
    if flow is None:
        return RunOutcome(state=RunState.CANCELLED, reason=run.cancel_reason)
    if flow.is_lost:
        return RunOutcome(state=RunState.CRASHED, reason="outcome unknown")
    code = 0 if flow.outcome is RunState.SUCCEEDED else 1
    return RunOutcome(state=flow.outcome, reason=flow.outcome.value, exit_code=code, finished_at=now)
