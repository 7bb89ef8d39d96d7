"""The simulated cluster: its jobs may wait for hours, become ready under the next controller, and get lost.

`ClusterExecutor` launches attempts there. Whether a job is running can't be found out while the cluster is cut off.
"""

from dataclasses import dataclass

from controller.model.runs import Attempt, Run, RunOutcome, RunState
from controller.runs.executors.executor import Alive, AttemptStatus, Launchable, NotStarted, Phase, Uncertain
from tests.simulation.machine import LOST_CHANCE, SimulatedExecutor, SimulatedHandle

LONGEST_WAIT = 4000.0
"""In seconds: the longest time that a job waits for a free node."""


@dataclass(slots=True, kw_only=True)
class ClusterHandle(SimulatedHandle):
    """One job. `is_void`: the controller has given up this attempt, so that it never gets GO."""

    is_void: bool = False

    @property
    def phase(self) -> Phase:
        """The next step of the attempt: an adopted job can still become ready."""
        if self.is_void or self.run.state is RunState.RUNNING:
            return Phase.AWAITING_END
        return Phase.READY if self.is_ready else Phase.STARTING

    @property
    def is_readable(self) -> bool:
        """Whether the engine is woken up for this attempt: runners report, also when the engine of jobs is away."""
        if self.is_watched and self.phase is Phase.STARTING:
            return self.is_there and self.machine.jobs[self.attempt.nonce] <= self.machine.elapsed()
        return self.is_watched and not isinstance(self.read_status(), Alive | Uncertain)

    @property
    def is_there(self) -> bool:
        """Whether the cluster knows the job."""
        return self.attempt.nonce in self.machine.jobs

    def receive(self) -> bool:
        """Become ready, if the runner has asked for leave to start the flow."""
        if self.is_there and self.machine.jobs[self.attempt.nonce] <= self.machine.elapsed():
            self.is_ready = True
        return True

    def send_go(self) -> None:
        """Answer the runner. It repeats its request if the controller is killed before, so nothing is lost."""
        self.fault()
        self._answer()
        self.fault()

    def abandon(self) -> None:
        """Make sure that the runner gets no leave."""
        self.is_void = True
        self.machine.jobs.pop(self.attempt.nonce, None)

    def request_stop(self) -> None:
        """End the flow as cancelled; give up a job that has not become ready."""
        if self.phase is Phase.STARTING:
            self.abandon()
        else:
            self.machine.end(self.attempt.nonce)

    def read_status(self) -> AttemptStatus:
        """Return what the runner has reported, or else what the cluster says."""
        if self.attempt.nonce in self.machine.flows:
            status = SimulatedHandle.read_status(self)
            return Uncertain(reason="cut off") if self.machine.is_cut_off and status == Alive(started=True) else status
        if self.is_void:
            return NotStarted()
        if self.machine.is_cut_off:
            return Uncertain(reason="cut off")
        if self.run.state is not RunState.RUNNING:
            self.ended_on_its_own = not self.is_there
            return NotStarted() if self.ended_on_its_own else Alive(started=False)
        if not self.is_there:
            return RunOutcome(state=RunState.CRASHED, reason="its node was lost")
        self._answer()
        return Alive(started=True)

    def release(self) -> None:
        """Do nothing to the job: it is adopted by the next controller."""
        self.is_watched = False

    def _answer(self) -> None:
        if self.is_there and self.attempt.nonce not in self.machine.flows:
            self.machine.start(self.run, self.attempt, self.timeout)


class ClusterExecutor(SimulatedExecutor):
    """Launches attempts as jobs of the cluster."""

    name = "cluster"
    ready_seconds = float("inf")
    builds_python = False

    def room(self) -> int | None:
        """Return how many more jobs may wait for nodes."""
        waiting = [handle for handle in self._handles if handle.is_watched and handle.phase is not Phase.AWAITING_END]
        return None if self.machine.room is None else self.machine.room - len(waiting)

    def launch(self, launchable: Launchable, attempt: Attempt) -> SimulatedHandle:
        """Submit a job. It may get lost, as long as it is waiting."""
        handle = super().launch(launchable, attempt)
        if not self.machine.has_bad_luck(LOST_CHANCE):
            self.machine.jobs[attempt.nonce] = self.machine.delay(10.0 if self.machine.is_calm else LONGEST_WAIT)
        return handle

    def make_handle(self, run: Run, attempt: Attempt) -> SimulatedHandle:
        """Return a handle of a job."""
        return ClusterHandle(
            run=run, attempt=attempt, directory=self.directory(attempt), machine=self.machine, fault=self.fault
        )
