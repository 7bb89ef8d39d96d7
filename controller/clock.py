"""Where time comes from. Everything that needs the time takes a `Clock`; tests pass one that they turn."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """A source of the present."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never goes back."""
        ...

    def elapsed(self) -> float:
        """The same, and the time counts in which the machine was suspended."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never goes back."""
        return time.monotonic()

    def elapsed(self) -> float:
        """The same, and the time counts in which the machine was suspended."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)
