"""The pauses between the launches of a run whose last launch failed without a shortage. Used by the engine's thread.

The pauses are only in memory: after a restart, the run is launched at once.
"""

from datetime import timedelta

from controller.backoff import Backoff
from controller.clock import Clock
from controller.model.runs import Run, RunId, RunOutcome, RunState
from controller.runs.executors.executor import Handle
from controller.time_format import in_utc

MAX_LAUNCHES = 5
LONGEST_PAUSE = 60.0


class FailedLaunches:
    """The consecutive failed launches of runs."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._failures: dict[RunId, Backoff] = {}
        self._texts: dict[RunId, str] = {}
        self._pausing: set[RunId] = set()

    def is_last(self, run_id: RunId) -> bool:
        """Return whether the current launch of the run is the last one."""
        backoff = self._failures.get(run_id)
        return backoff is not None and backoff.failures + 1 >= MAX_LAUNCHES

    def record(self, run_id: RunId, pause: float, cause: str | None) -> None:
        """Record a failed launch. The first pause takes `pause` seconds, each later one twice as long; 0: no pauses.

        `cause` is the cause of the failure as text for people, if it is known.
        """
        backoff = self._failures.setdefault(run_id, Backoff(self.clock, first=pause, longest=LONGEST_PAUSE))
        backoff.fail(cause or "")
        if backoff.remaining:
            self._pausing.add(run_id)
        why = "" if cause is None else f", because the last one failed: {cause}"
        at = in_utc(self.clock.now() + timedelta(seconds=backoff.seconds))
        self._texts[run_id] = f"launch {backoff.failures + 1} of {MAX_LAUNCHES} at {at}{why}"

    def find_pause(self, run_id: RunId) -> str | None:
        """Return the text that describes the pause of the run to people; None if the run can be launched."""
        backoff = self._failures.get(run_id)
        return None if backoff is None or not backoff.remaining else self._texts[run_id]

    @property
    def remaining(self) -> float | None:
        """The seconds until the next pause ends, as far as `take_ended` has not returned it; None without a pause."""
        return min((self._failures[run_id].remaining for run_id in self._pausing), default=None)

    def take_ended(self) -> set[RunId]:
        """Return the runs whose pause has ended since the last call."""
        ended = {run_id for run_id in self._pausing if not self._failures[run_id].remaining}
        self._pausing -= ended
        return ended

    def outcome_of(self, run: Run, active: Handle) -> RunOutcome | None:
        """Return the outcome of a run whose launch failed; None if the run can be launched again."""
        # A run that is still `launching` has never received GO.
        if run.state is not RunState.LAUNCHING and (why := active.why_uncertain()) is not None:
            return RunOutcome(state=RunState.CRASHED, reason=f"outcome unknown: {why}")
        if run.cancel_reason is not None:
            return RunOutcome(state=RunState.CANCELLED, reason=run.cancel_reason)
        if active.ended_on_its_own and self.is_last(run.id):
            why = active.launch_failure or f"its supervisor exited {MAX_LAUNCHES} times without starting the flow"
            return RunOutcome(state=RunState.FAILED, reason=f"not launched: {why}")
        return None

    def forget(self, run_id: RunId) -> None:
        """Remove a run that was started, or that has ended."""
        self._failures.pop(run_id, None)
        self._texts.pop(run_id, None)
        self._pausing.discard(run_id)
