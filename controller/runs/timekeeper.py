"""Does the clock go as time does? Jumps are told, and what they would break is put right.

Used by the engine's thread, which looks with every turn, before it decides anything by the time. The wall clock is held
against the time since the machine was started, in which suspended time counts.
"""

import logging
from datetime import datetime, timedelta

from controller.clock import Clock
from controller.model.status import Event, EventSeverity
from controller.store import Store, events, inventory

log = logging.getLogger(__name__)

JUMP = timedelta(seconds=5)
"""What is less is the drift of a clock, or its correction."""
SETTLED_AFTER = timedelta(seconds=60)
"""So long nothing is accounted for after a jump forward of more than that: many a wrong clock is corrected at once."""


class Timekeeper:
    """Knows the last jump. A clock that was set back makes no due time come twice: the ledger has them."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._last = (clock.now(), clock.elapsed())
        self._unsettled_until = 0.0

    def begin(self) -> None:
        """The clock may have been set back while no controller ran. Raises StateError."""
        self._rewind(self._clock.now(), [])

    def look(self, *, is_tick: bool) -> bool:
        """Take notice of a jump; whether due times may be decided about. Raises StateError."""
        now, elapsed = self._clock.now(), self._clock.elapsed()
        jump = (now - self._last[0]) - timedelta(seconds=elapsed - self._last[1])
        if abs(jump) > JUMP:
            self._rewind(now, [_event(now, jump)])
            log.warning("The clock jumped", extra={"seconds": round(jump.total_seconds(), 3)})
            is_far = jump > SETTLED_AFTER
            self._unsettled_until = elapsed + SETTLED_AFTER.total_seconds() if is_far else 0.0
        elif is_tick:
            self._rewind(now, [])
        self._last = (now, elapsed)
        return elapsed >= self._unsettled_until

    def _rewind(self, now: datetime, told: list[Event]) -> None:
        """Deployments that are accounted for past `now` count on from now: they would be silent until then."""
        with self._store.read() as tx:
            is_ahead = inventory.ahead(tx, now)
        if not (is_ahead or told):
            return
        with self._store.write() as tx:
            inventory.rewind(tx, now)
            events.append(tx, told)


def _event(now: datetime, jump: timedelta) -> Event:
    seconds = jump.total_seconds()
    way = "forward" if seconds > 0 else "back"
    message = f"The clock was set {way} by {abs(seconds):.0f} s, to {now:%Y-%m-%d %H:%M:%SZ}."
    return Event(time=now, severity=EventSeverity.WARNING, reason="ClockJumped", message=message, about="controller")
