"""Measures the stages of a pass. Filled by `reconciler`, which shows them in the history of passes and in the log."""

from controller import crashpoints
from controller.clock import Clock


class PassTimings:
    """The duration of each stage in milliseconds, by name and in order."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = clock.monotonic()
        self.milliseconds: dict[str, float] = {}

    def finish_stage(self, name: str) -> None:
        """Record that this stage ends now and the next one begins."""
        now = self._clock.monotonic()
        self.milliseconds[name] = round((now - self._last) * 1000, 3)
        self._last = now
        crashpoints.reach(f"pass:{name}")

    @property
    def total(self) -> float:
        """The sum of all finished stages in milliseconds."""
        return round(sum(self.milliseconds.values()), 3)
