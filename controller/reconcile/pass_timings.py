"""How long each stage of a pass took. The reconciler fills it; the history and the log line show it."""

from controller import crashpoints
from controller.clock import Clock


class PassTimings:
    """Milliseconds by the name of the stage, in order."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = clock.monotonic()
        self.milliseconds: dict[str, float] = {}

    def done(self, name: str) -> None:
        """This stage ends now; the next begins."""
        now = self._clock.monotonic()
        self.milliseconds[name] = round((now - self._last) * 1000, 3)
        self._last = now
        crashpoints.reach(f"pass:{name}")

    @property
    def total(self) -> float:
        """The sum of all stages that are done."""
        return round(sum(self.milliseconds.values()), 3)
