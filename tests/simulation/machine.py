"""The simulated machine: flows are entries of a table, which survive restarts of the controller.

`Machine` has the flows. `SimulatedExecutor` is an executor that starts them there, with an entry instead of a process,
and reads the outcomes of attempts from the table instead of from directories. The monitor and the engine are the real
ones.
"""

import errno
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random

from controller.clock import Clock
from controller.model.deployments import Deployment
from controller.model.queues import EVERYTHING
from controller.model.runs import Attempt, Run, RunOutcome, RunState
from controller.model.status import ConditionStatus
from controller.runs.executors.executor import Alive, AttemptStatus, Launchable, NotStarted, Phase, Readiness
from controller.store import Store, queues
from tests.conftest import ManualClock

LOST_CHANCE = 0.03
"""How often a supervisor exits before it receives GO."""
HANG_CHANCE = 0.03
"""How often a supervisor never becomes ready."""
SHORTAGE_CHANCE = 0.03
"""How often a launch fails, because the machine lacks file descriptors."""


@dataclass(slots=True)
class Flow:
    """One attempt whose supervisor has received GO. `ends` is on the scale of `Clock.elapsed`, in seconds."""

    run_id: str
    attempt: int
    ends: float
    outcome: RunState
    is_lost: bool = False


class Machine:
    """All flows by nonce, and how often each attempt was started.

    `jobs`: when the jobs of the cluster become ready, on the scale of `Clock.elapsed`, by nonce. `is_cut_off`: nothing
    can be found out about them. `room`: how many of them may wait for nodes. `broken`: the deployments that can't be
    launched. `is_short`: nothing can be launched, because file descriptors are missing.
    """

    def __init__(self, random: Random, clock: ManualClock) -> None:
        self._random = random
        self._clock = clock
        self.flows: dict[str, Flow] = {}
        self.jobs: dict[str, float] = {}
        self.is_cut_off = False
        self.room: int | None = None
        self.broken: set[str] = set()
        self.is_short = False
        self.starts: Counter[tuple[str, int]] = Counter()
        self.is_calm = False

    def has_bad_luck(self, chance: float) -> bool:
        """Whether something that happens with this probability happens now. Never while the machine is calm."""
        return not self.is_calm and self._random.random() < chance

    def elapsed(self) -> float:
        """Return the time since the machine was started, in seconds."""
        return self._clock.elapsed()

    def delay(self, most: float) -> float:
        """Return the time after a random delay."""
        return self.elapsed() + most * self._random.random()

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


@dataclass(slots=True, kw_only=True)
class SimulatedHandle:
    """One attempt. `ready_at`: when its supervisor becomes ready, on the scale of `Clock.elapsed`.

    `timeout`: None for an adopted attempt, which receives no GO, and for a flow without one. `is_launched`: this
    controller has launched it, and has not abandoned it. `is_watched`: it may wake the engine up.
    """

    run: Run
    attempt: Attempt
    directory: Path
    machine: Machine
    fault: Callable[[], None]
    timeout: timedelta | None = None
    ready_at: float = 0.0
    ready_by: float = 0.0
    is_launched: bool = False
    is_watched: bool = True
    is_ready: bool = False
    has_go: bool = False
    ended_on_its_own: bool = False
    is_cold: bool = True
    lacking: str | None = None
    launch_failure: str | None = None

    @property
    def phase(self) -> Phase:
        """The next step of the attempt."""
        if not self.is_launched or self.has_go:
            return Phase.AWAITING_END
        return Phase.READY if self.is_ready else Phase.STARTING

    @property
    def is_readable(self) -> bool:
        """Whether the engine is woken up for this attempt."""
        if not self.is_watched:
            return False
        if self.phase is Phase.AWAITING_END:
            return not isinstance(self.read_status(), Alive)
        return self.phase is Phase.STARTING and self.ready_at <= self.machine.elapsed()

    def fileno(self) -> None:
        """Return None: `World.turn` passes readable attempts to the engine."""

    def receive(self) -> bool:
        """Become ready, or exit without becoming ready."""
        if self.ready_at <= self.machine.elapsed():
            if self.machine.has_bad_luck(LOST_CHANCE):
                return False
            self.is_ready = True
        return True

    def send_go(self) -> None:
        """Start the flow, unless the supervisor has exited. The controller may be killed before and after that."""
        self.fault()
        self.has_go = True
        if not self.machine.has_bad_luck(LOST_CHANCE):
            self.machine.start(self.run, self.attempt, self.timeout)
        self.fault()

    def abandon(self) -> None:
        """Make sure that the flow never starts."""
        self.is_launched = self.is_watched = False

    def request_stop(self) -> None:
        """End the flow as cancelled, if it was started."""
        self.machine.end(self.attempt.nonce)

    def read_status(self) -> AttemptStatus:
        """Return the status of the flow, according to the machine's table."""
        flow = self.machine.flows.get(self.attempt.nonce)
        if flow is None:
            if self.phase is not Phase.AWAITING_END:
                return Alive(started=False)
            self.ended_on_its_own = self.ended_on_its_own or self.has_go
            return NotStarted()
        if flow.is_lost:
            return RunOutcome(state=RunState.CRASHED, reason="outcome unknown")
        if flow.ends > self.machine.elapsed():
            return Alive(started=True)
        code = 0 if flow.outcome is RunState.SUCCEEDED else 1
        return RunOutcome(state=flow.outcome, reason=flow.outcome.value, exit_code=code)

    def why_uncertain(self) -> None:
        """Return None: the table is never wrong."""

    def clean_up(self, status: RunOutcome | NotStarted) -> None:
        """Do nothing: an ended flow leaves nothing behind."""

    def release(self) -> None:
        """End the connection, without any effect on a flow that was started."""
        self.is_launched = self.is_watched = False


class SimulatedExecutor:
    """Launches attempts on the machine. `fault` is called wherever the controller may be killed."""

    name = "simulated"
    ready_seconds = 2.0
    launch_pause = 0.0
    builds_python = True
    place = None
    readiness = Readiness(status=ConditionStatus.TRUE, reason="Local", message="Flows run in the simulation.")

    def __init__(self, store: Store, clock: Clock, machine: Machine, fault: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self.machine = machine
        self.fault = fault
        self._handles: list[SimulatedHandle] = []

    def open(self, on_change: Callable[[], None]) -> None:
        """Do nothing: there is nothing that launches use."""

    def close(self) -> None:
        """Do nothing."""

    def maintain(self) -> None:
        """Drop the attempts that can't wake the engine up any more."""
        self._handles = [handle for handle in self._handles if handle.is_watched]

    def readable(self) -> list[SimulatedHandle]:
        """Return the attempts that wake the engine up."""
        return [handle for handle in self._handles if handle.is_readable]

    def room(self) -> int | None:
        """Return None: no attempt waits for nodes."""
        return None

    def find_obstacle(self, deployment: Deployment) -> str | None:  # noqa: ARG002
        """Return None: it runs all deployments."""
        return None

    def describe(self, launchable: Launchable, attempt: Attempt) -> Attempt:  # noqa: ARG002
        """Record nothing more."""
        return attempt

    def launch(self, launchable: Launchable, attempt: Attempt) -> SimulatedHandle:
        """Launch an attempt, which exceeds no limit. The controller may be killed before and after that."""
        self.fault()
        with self._store.read() as tx:
            load = queues.read_load(tx, self._clock.now())
        for name in (launchable.run.queue, EVERYTHING):
            limit = load.limits.get(name)
            assert limit is None or load.running[name] <= limit, f"queue {name}: {load.running[name]} of {limit}"
        if launchable.run.deployment in self.machine.broken:
            raise ValueError("embedded null byte")
        if self.machine.is_short or self.machine.has_bad_luck(SHORTAGE_CHANCE):
            raise OSError(errno.EMFILE, "Too many open files")
        handle = self._add(launchable.run, attempt)
        handle.is_launched = True
        handle.timeout = launchable.deployment.timeout
        handle.ready_at = float("inf") if self.machine.has_bad_luck(HANG_CHANCE) else self.machine.delay(0.5)
        self.fault()
        return handle

    def adopt(self, run: Run, attempt: Attempt) -> SimulatedHandle:
        """Return the handle of an attempt of an earlier controller."""
        return self._add(run, attempt)

    def _add(self, run: Run, attempt: Attempt) -> SimulatedHandle:
        handle = self.make_handle(run, attempt)
        self._handles.append(handle)
        return handle

    def make_handle(self, run: Run, attempt: Attempt) -> SimulatedHandle:
        """Return a handle of an attempt."""
        return SimulatedHandle(
            run=run, attempt=attempt, directory=self.directory(attempt), machine=self.machine, fault=self.fault
        )

    def directory(self, attempt: Attempt) -> Path:
        """Return the directory of an attempt, which does not exist."""
        return Path("/nowhere/runs", attempt.run_id, f"{attempt.number}-{attempt.nonce}")
