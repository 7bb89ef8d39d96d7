"""Detects jumps of the wall clock, records them, and repairs the times that depend on the old clock.

The engine's thread checks the clock in every turn, before it decides anything by the time. It compares the wall clock
with the time since the machine booted, including time in suspend.
"""

import logging
from datetime import datetime, timedelta

from controller.clock import Clock
from controller.model.runs import Run, RunState
from controller.model.status import Event, EventSeverity
from controller.runs.retry_policy import delay
from controller.store import Store, events, gates, inventory, occurrences, runs
from controller.time_format import in_utc

log = logging.getLogger(__name__)

NO_JUMP = timedelta(0)
JUMP = timedelta(seconds=5)
"""The smallest difference that counts as a jump. Less is drift or its correction, and loses no due time."""
SETTLED_AFTER = timedelta(seconds=60)
"""After a forward jump of more than this, no due time is decided for as long: wrong clocks are often corrected soon."""


class ClockMonitor:
    """Compares the clocks and remembers the last jump. The ledger prevents a due time from running twice."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._last = (clock.now(), clock.elapsed())
        self._unsettled_until = 0.0

    def repair(self) -> None:
        """Repair the times that an earlier controller recorded with a clock that was ahead. Raises StateError.

        Call it before computing anything from the cursors.
        """
        now = self._clock.now()
        self._rewind(now, now, may_be_back=True)

    def check(self, *, is_tick: bool) -> bool:
        """Detect and repair a jump. Return whether due times may be decided now. Raises StateError."""
        now, elapsed = self._clock.now(), self._clock.elapsed()
        passed = timedelta(seconds=elapsed - self._last[1])
        jump = (now - self._last[0]) - passed
        if abs(jump) > JUMP:
            self._rewind(now, now - passed, jump)
            log.warning("The clock jumped", extra={"seconds": _seconds(jump)})
            is_far = jump > SETTLED_AFTER
            self._unsettled_until = elapsed + SETTLED_AFTER.total_seconds() if is_far else 0.0
        elif is_tick:
            self._rewind(now, now - passed)
        self._last = (now, elapsed)
        return elapsed >= self._unsettled_until

    def _rewind(self, now: datetime, since: datetime, jump: timedelta = NO_JUMP, *, may_be_back: bool = False) -> None:
        """Move cursors that are later than `now` back to `since`, so that no deployment pauses until its cursor.

        If the clock was set back, by `jump` or else by as much as a cursor is ahead, delete skips that the wrong clock
        recorded for future times, so that these times are decided when they are due. Correct the times that waiting
        runs and their gates got from it. With `may_be_back`, correct those of retries even if no cursor is ahead.
        """
        with self._store.read() as tx:
            furthest = inventory.furthest_cursor(tx)
            lead = NO_JUMP if furthest is None else furthest - now
            back = jump if jump < NO_JUMP else -lead if lead > JUMP else NO_JUMP
            waiting = runs.waiting_for_time(tx, now) if back or may_be_back else []
        corrected = [(run, changes) for run in waiting if (changes := _correct(run, now, back))]
        if not (jump or back or corrected):
            return
        if not jump and back:
            log.warning("The clock is behind the recorded due times", extra={"seconds": _seconds(lead)})
        with self._store.write() as tx:
            inventory.rewind_cursors(tx, now, since)
            if back:
                occurrences.delete_skipped_after(tx, now)
                gates.shift(tx, now, back)
            for run, changes in corrected:
                runs.move(tx, run.id, expect=run.state, to=run.state, **changes)
            if jump or back:
                events.append(tx, [_event(now, jump or back)])


def _correct(run: Run, now: datetime, back: timedelta) -> dict[str, datetime]:
    """Return the corrected times of a run if they were computed before the clock was set back; empty if they were not.

    Each jump shifts them once, by its negative size `back`. A retry waits at most for its whole delay.
    """
    corrected: dict[str, datetime] = {}
    is_future = back < NO_JUMP and run.scheduled_for is not None and run.scheduled_for > now
    if run.start_by is not None and is_future:
        corrected["start_by"] = run.start_by + back
    if run.state is RunState.RETRYING:
        latest = None if run.retries is None else now + delay(run.retries, run.id, run.attempt)
        if latest is not None and run.not_before is not None and latest < run.not_before:
            corrected["not_before"] = latest
    elif run.not_before is not None and is_future:
        corrected["not_before"] = run.not_before + back
    return corrected


def _seconds(span: timedelta) -> float:
    return round(span.total_seconds(), 3)


def _event(now: datetime, jump: timedelta) -> Event:
    seconds = jump.total_seconds()
    direction = "forward" if seconds > 0 else "back"
    message = f"The clock was set {direction} by {abs(seconds):.0f} s, to {in_utc(now)}."
    return Event(time=now, severity=EventSeverity.WARNING, reason="ClockJumped", message=message, about="controller")
