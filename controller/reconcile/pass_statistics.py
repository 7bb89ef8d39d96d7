"""Statistics of the passes since the start of the process, for `/metrics`. Filled by `loop`."""

from collections import Counter
from datetime import datetime
from enum import StrEnum

from controller.counters import Histogram
from controller.errors import ControllerError
from controller.reconcile.reconciler import PassResult

_PASS_SECONDS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0)
_ACTIVE_SECONDS = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 21600.0)


class PassOutcome(StrEnum):
    """How a pass ended.

    `applied`: it applied a revision. `unchanged`: there was nothing new. `blocked`: nothing was applied, because the
    revision has errors. `unavailable`: the source could not be read. `failed`: the pass itself failed.
    """

    APPLIED = "applied"
    UNCHANGED = "unchanged"
    BLOCKED = "blocked"
    UNAVAILABLE = "unavailable"
    FAILED = "failed"


class PassStatistics:
    """The passes by outcome and duration.

    - `read_at`: when the source was last read successfully, also if nothing had changed; None before that.
    - `commit_to_active`: the seconds from the commit of a revision until it was applied, for revisions that replaced
      another one since the start.
    - `drifts`: the number of jobs that did not match their deployment.
    """

    def __init__(self) -> None:
        self.outcomes: Counter[PassOutcome] = Counter()
        self.seconds = Histogram(_PASS_SECONDS)
        self.commit_to_active = Histogram(_ACTIVE_SECONDS)
        self.read_at: datetime | None = None
        self.drifts = 0
        self._active: str | None = None

    def record(self, result: PassResult | ControllerError, seconds: float, now: datetime) -> str | None:
        """Count a pass that took this many seconds. Return the revision that it made active instead of another one."""
        outcome = pass_outcome(result)
        self.outcomes[outcome] += 1
        self.seconds.observe(seconds)
        if isinstance(result, ControllerError) or outcome is PassOutcome.UNAVAILABLE:
            return None
        self.read_at = now
        earlier, self._active = self._active, result.status.last_applied_revision
        return None if earlier in (None, self._active) else self._active


def pass_outcome(result: PassResult | ControllerError) -> PassOutcome:
    """Return how the pass with this result ended."""
    if isinstance(result, ControllerError):
        return PassOutcome.FAILED
    if result.error is not None:
        return PassOutcome.UNAVAILABLE
    if result.plan is None:
        return PassOutcome.UNCHANGED
    return PassOutcome.BLOCKED if result.plan.is_blocked else PassOutcome.APPLIED
