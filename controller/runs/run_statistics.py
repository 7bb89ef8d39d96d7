"""Statistics of launches, starts and attempts since the start of the process, for `/metrics`. Filled by `monitor`."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime

from controller.counters import Histogram
from controller.model.runs import Run, RunOutcome, RunState, Trigger

_SKEW_SECONDS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
_WAIT_SECONDS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 21600.0)


class RunStatistics:
    """The launches of the monitor, and how late runs started.

    - `cold_launches`: supervisors that needed a new interpreter; `warm_launches`: those that a fork server forked.
    - `launch_failures`: supervisors that could not be started, or did not become ready.
    - `skew`: seconds from the due time of a scheduled run, with its jitter, to the start of its flow.
    - `waits`: seconds that runs waited in the queue before their first attempt.
    - `attempts`: the attempts that have ended, by state. `on_end` may be replaced: it is called for each of them, with
      the run as it was during the attempt, the outcome and the time.
    """

    def __init__(self) -> None:
        self.cold_launches = 0
        self.warm_launches = 0
        self.launch_failures = 0
        self.skew = Histogram(_SKEW_SECONDS)
        self.waits = Histogram(_WAIT_SECONDS)
        self.attempts: Counter[RunState] = Counter()
        self.on_end: Callable[[Run, RunOutcome, datetime], None] = lambda *_: None

    def record_launch(self, *, is_cold: bool) -> None:
        """Count a supervisor that was started."""
        self.cold_launches += is_cold
        self.warm_launches += not is_cold

    def record_start(self, run: Run, now: datetime) -> None:
        """Count a flow that was started. Only the first attempt of a run tells how long the run waited.

        The time that a due time waited for upstream deployments does not count.
        """
        if run.attempt > 1 or (run.trigger is Trigger.SCHEDULE and run.upstream):
            return
        may_start = max(run.created_at, run.not_before or run.created_at)
        self.waits.observe((now - may_start).total_seconds())
        if run.trigger is Trigger.SCHEDULE and run.scheduled_for is not None:
            due = max(run.scheduled_for, run.not_before or run.scheduled_for)
            self.skew.observe((now - due).total_seconds())

    def record_end(self, run: Run, outcome: RunOutcome, now: datetime) -> None:
        """Count an attempt that has ended."""
        self.attempts[outcome.state] += 1
        self.on_end(run, outcome, now)
