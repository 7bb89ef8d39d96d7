"""Where time comes from. Everything that needs the time takes a `Clock`; tests pass one that they turn."""

import time
from datetime import UTC, datetime
from typing import Protocol

from controller.errors import UsageError


def in_utc(moment: datetime) -> datetime:
    """A moment that somebody has named, in UTC; without an offset it is the machine's time.

    Raises:
        UsageError: it is so near to an end of the calendar that one can't calculate with it.
    """
    if not 1 < moment.year < 9999:
        message = f"The year of {moment.isoformat()} is out of range."
        raise UsageError(message, hint="Write a year from 2 to 9998.")
    return moment.astimezone(UTC)


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
