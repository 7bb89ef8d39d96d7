"""Detects jumps of the wall clock, records them, and repairs the times that depend on the old clock.

The engine's thread checks the clock in every turn, before it decides anything by the time. It compares the wall clock
with the time since the machine booted, including time in suspend. `admission` records both whenever it decides due
times, so that a start notices a jump that an earlier controller has not repaired.
"""

import logging
from datetime import datetime, timedelta
from functools import cache

from controller.clock import Clock
from controller.model.runs import Run, RunState
from controller.model.status import Event, EventSeverity
from controller.runs.retry_policy import delay
from controller.settings import boot_id
from controller.store import Store, Transaction, clock_readings, events, gates, inventory, occurrences, runs
from controller.store.clock_readings import ClockReading
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
        self._last = _read(clock, clock.now())
        self._unsettled_until = 0.0

    def repair(self) -> None:
        """Repair the times that an earlier controller recorded if the clock was set since. Raises StateError.

        Call it before computing anything from the cursors. Without a reading of this boot, it is unknown by how much
        the clock was set: then the clock was set back if it is behind anything that was recorded.
        """
        reading = _read(self._clock, self._clock.now())
        with self._store.read() as tx:
            recorded = clock_readings.find(tx)
        if recorded is not None and reading.is_same_boot(recorded):
            self._last = recorded
            self._check(reading, is_start=True)
        else:
            # No due time of this boot was decided yet.
            since = reading.time if recorded is None else min(reading.time, reading.booted_at)
            self._rewind(reading, since, ahead=None if recorded is None else recorded.time, is_start=True)
        self._last = reading

    def check(self, *, is_tick: bool) -> bool:
        """Detect and repair a jump. Return whether due times may be decided now. Raises StateError."""
        reading = _read(self._clock, self._clock.now())
        self._check(reading, is_tick=is_tick)
        self._last = reading
        return reading.elapsed >= self._unsettled_until

    def _check(self, reading: ClockReading, *, is_tick: bool = False, is_start: bool = False) -> None:
        """Compare this reading with the last one. The due times up to that were decided."""
        jump = reading.booted_at - self._last.booted_at
        since = reading.booted_at + timedelta(seconds=self._last.elapsed)
        if abs(jump) > JUMP:
            self._rewind(reading, since, jump, is_start=is_start)
            log.warning("The clock jumped", extra={"seconds": _seconds(jump)})
            is_far = jump > SETTLED_AFTER
            self._unsettled_until = reading.elapsed + SETTLED_AFTER.total_seconds() if is_far else 0.0
        elif is_tick or is_start:
            self._rewind(reading, since, is_start=is_start)

    def _rewind(
        self,
        reading: ClockReading,
        since: datetime,
        jump: timedelta = NO_JUMP,
        *,
        ahead: datetime | None = None,
        is_start: bool = False,
    ) -> None:
        """Move cursors that are later than this reading back to `since`, so that no deployment pauses until its cursor.

        If the clock was set back, by `jump` or else by as much as it is behind a cursor or `ahead`, delete skips that
        the wrong clock recorded for future times, so that these times are decided when they are due. Correct the times
        that waiting runs and their gates got from it. At the start, correct those of retries in any case.
        """
        now = reading.time
        with self._store.read() as tx:
            furthest = inventory.furthest_cursor(tx)
            lead = max(furthest or now, ahead or now) - now
            back = jump if jump < NO_JUMP else -lead if lead > JUMP else NO_JUMP
            waiting = runs.waiting_for_time(tx, now) if back or is_start else []
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
            clock_readings.save(tx, reading)


def record_time(tx: Transaction, clock: Clock, now: datetime, *, is_checked: bool) -> None:
    """Record the clock at `now`, when due times are decided or cursors are set, so that the next start can compare it.

    Unless the engine's thread has just checked the clock, a jump that it has not noticed remains in the record.
    """
    clock_readings.save(tx, _read(clock, now), tolerance=None if is_checked else JUMP)


def _read(clock: Clock, now: datetime) -> ClockReading:
    elapsed = clock.elapsed()
    return ClockReading(boot_id=_boot_id(), booted_at=now - timedelta(seconds=elapsed), elapsed=elapsed)


@cache
def _boot_id() -> str:
    return boot_id()


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
