"""Exponential backoff between retries of a failing operation, and the decision which failures to log.

Used by `runs.engine`, `reconcile.loop` and `python_environments.environments`. Of repeated failures, only the first,
second, fourth, eighth and so on are logged, so that a disk that is full for a week does not fill the log as well.
"""

from controller.clock import Clock


class Backoff:
    """Counts consecutive failures. Each one doubles the pause, from `first` to `longest` seconds."""

    def __init__(self, clock: Clock, *, first: float, longest: float) -> None:
        self._clock = clock
        self._first = first
        self._longest = longest
        self._until = 0.0
        self._cause = ""
        self._repetitions = 0
        self.failures = 0

    def fail(self, cause: str) -> bool:
        """Record a failure. Return whether to log it: true for the first of its cause, then less and less often."""
        self.failures += 1
        self._repetitions = self._repetitions + 1 if cause == self._cause else 1
        self._cause = cause
        self._until = self._clock.monotonic() + self.seconds
        return self._repetitions & (self._repetitions - 1) == 0

    def succeed(self) -> bool:
        """Record a success. Return whether it is the first one after failures."""
        is_first = self.failures > 0
        self.failures = self._repetitions = 0
        self._cause, self._until = "", 0.0
        return is_first

    @property
    def seconds(self) -> float:
        """The length of the current pause in seconds; 0 without a failure."""
        return min(self._longest, self._first * 2.0 ** min(self.failures - 1, 30)) if self.failures else 0.0

    @property
    def remaining(self) -> float:
        """The rest of the current pause in seconds; 0 without a pause."""
        return max(0.0, self._until - self._clock.monotonic()) if self.failures else 0.0
