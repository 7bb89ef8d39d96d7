"""Growing pauses between tries of what fails for now, and which of these failures are worth a log line.

Used by the engine's thread. Whoever fails for ever says so at the first failure, the second, the fourth, the eighth and
so on: a disk that is full for a week does not fill the log as well.
"""

from controller.clock import Clock


class Backoff:
    """Counts failures in a row; each doubles the pause, from `first` to `longest` seconds."""

    def __init__(self, clock: Clock, *, first: float, longest: float) -> None:
        self._clock = clock
        self._first = first
        self._longest = longest
        self._until = 0.0
        self._cause = ""
        self._said = 0
        self.failures = 0

    def fail(self, cause: str) -> bool:
        """Take note of a failure; whether to log it: the first of its cause, then ever fewer."""
        self.failures += 1
        self._said = self._said + 1 if cause == self._cause else 1
        self._cause = cause
        self._until = self._clock.monotonic() + self.seconds
        return self._said & (self._said - 1) == 0

    def succeed(self) -> bool:
        """Take note of a success; whether it is the first after failures."""
        is_first = self.failures > 0
        self.failures = self._said = 0
        self._cause, self._until = "", 0.0
        return is_first

    @property
    def seconds(self) -> float:
        """The length of the present pause."""
        return min(self._longest, self._first * 2.0 ** min(self.failures - 1, 30)) if self.failures else 0.0

    @property
    def left(self) -> float:
        """How many seconds of it are left; 0 without a pause."""
        return max(0.0, self._until - self._clock.monotonic()) if self.failures else 0.0
