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
        self._rewind(now, now, [], may_be_back=True)

    def check(self, *, is_tick: bool) -> bool:
        """Detect and repair a jump. Return whether due times may be decided now. Raises StateError."""
        now, elapsed = self._clock.now(), self._clock.elapsed()
        passed = timedelta(seconds=elapsed - self._last[1])
        jump = (now - self._last[0]) - passed
        if abs(jump) > JUMP:
            self._rewind(now, now - passed, [_event(now, jump)], may_be_back=jump < timedelta(0))
            log.warning("The clock jumped", extra={"seconds": round(jump.total_seconds(), 3)})
            is_far = jump > SETTLED_AFTER
            self._unsettled_until = elapsed + SETTLED_AFTER.total_seconds() if is_far else 0.0
        elif is_tick:
            self._rewind(now, now - passed, [])
        self._last = (now, elapsed)
        return elapsed >= self._unsettled_until

    def _rewind(self, now: datetime, since: datetime, jump_events: list[Event], *, may_be_back: bool = False) -> None:
        """Move cursors that are later than `now` back to `since`, so that no deployment pauses until its cursor.

        Delete skips that the wrong clock recorded for future times, so that these times are decided when they are due.
        Correct the start and deadline of runs that wait for a time that the wrong clock computed.
        """
        with self._store.read() as tx:
            furthest = inventory.furthest_cursor(tx)
            lead = timedelta(0) if furthest is None else furthest - now
            is_ahead = lead > JUMP
            waiting = runs.waiting_for_time(tx, now) if is_ahead or may_be_back else []
        sooner = [(run, changes) for run in waiting if (changes := _sooner(run, now))]
        if not (is_ahead or jump_events or sooner):
            return
        if is_ahead and not jump_events:
            jump_events = [_event(now, -lead)]
            log.warning("The clock is behind the recorded due times", extra={"seconds": round(lead.total_seconds(), 3)})
        with self._store.write() as tx:
            inventory.rewind_cursors(tx, now, since)
            if is_ahead or may_be_back:
                occurrences.delete_skipped_after(tx, now)
            for run, changes in sooner:
                runs.move(tx, run.id, expect=run.state, to=run.state, **changes)
                if "start_by" in changes:
                    gates.change_deadline(tx, run.id, changes["start_by"])
            events.append(tx, jump_events)


def _sooner(run: Run, now: datetime) -> dict[str, datetime]:
    """Return the corrected times of this run that a wrong clock computed; empty if all of them can be right."""
    corrected = {"not_before": _latest_start(run, now), "start_by": _latest_deadline(run, now)}
    return {name: moment for name, moment in corrected.items() if moment is not None}


def _latest_start(run: Run, now: datetime) -> datetime | None:
    """Return the corrected start of this run; None if the time that it waits for can be right."""
    latest = run.not_before
    if run.state is RunState.RETRYING and run.retries is not None:
        latest = now + delay(run.retries, run.id, run.attempt)
    elif run.scheduled_for is not None and run.scheduled_for > now and run.not_before is not None:
        latest = now + max(timedelta(0), run.not_before - run.scheduled_for)
    return latest if latest is not None and run.not_before is not None and latest < run.not_before else None


def _latest_deadline(run: Run, now: datetime) -> datetime | None:
    """Return the corrected deadline of this run; None if its deadline can be right."""
    if run.start_by is None or run.scheduled_for is None or run.scheduled_for <= now:
        return None
    return now + max(timedelta(0), run.start_by - run.scheduled_for)


def _event(now: datetime, jump: timedelta) -> Event:
    seconds = jump.total_seconds()
    direction = "forward" if seconds > 0 else "back"
    message = f"The clock was set {direction} by {abs(seconds):.0f} s, to {in_utc(now)}."
    return Event(time=now, severity=EventSeverity.WARNING, reason="ClockJumped", message=message, about="controller")
