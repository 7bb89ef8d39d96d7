"""The clock. Everything that needs the time takes a `Clock`; tests pass one that they set themselves."""

import time
from datetime import UTC, datetime
from typing import Protocol

from controller.errors import UsageError


def in_utc(moment: datetime) -> datetime:
    """Convert a time that a user entered to UTC. A time without an offset is in the machine's time zone.

    Raises:
        UsageError: the year is 1 or 9999, so that adding a duration or an offset could overflow.
    """
    if not 1 < moment.year < 9999:
        message = f"The year of {moment.isoformat()} is out of range."
        raise UsageError(message, hint="Write a year from 2 to 9998.")
    return moment.astimezone(UTC)


class Clock(Protocol):
    """A source of the current time."""

    def now(self) -> datetime:
        """Return the current time as an aware UTC datetime."""
        ...

    def monotonic(self) -> float:
        """Return the seconds since an arbitrary start. Never goes back."""
        ...

    def elapsed(self) -> float:
        """Return the seconds since an arbitrary start, including time during which the machine was suspended."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the current time as an aware UTC datetime."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the seconds since an arbitrary start. Never goes back."""
        return time.monotonic()

    def elapsed(self) -> float:
        """Return the seconds since an arbitrary start, including time during which the machine was suspended."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)
