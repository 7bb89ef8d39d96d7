"""Does the clock go as time does? Jumps are told, and what they would break is put right.

Used by the engine's thread, which looks with every turn, before it decides anything by the time. The wall clock is held
against the time since the machine was started, in which suspended time counts.
"""

import logging
from datetime import datetime, timedelta

from controller.clock import Clock
from controller.model.runs import Run, RunState
from controller.model.status import Event, EventSeverity
from controller.runs.retry_policy import delay
from controller.store import Store, events, inventory, occurrences, runs
from controller.time_format import in_utc

log = logging.getLogger(__name__)

JUMP = timedelta(seconds=5)
"""Anything less is drift of the clock, or a correction of it. Waiting it out loses no due time."""
SETTLED_AFTER = timedelta(seconds=60)
"""So long nothing is accounted for after a jump forward of more than that: many a wrong clock is corrected at once."""


class ClockMonitor:
    """Knows the last jump. A clock that was set back makes no due time come twice: the ledger has them."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._last = (clock.now(), clock.elapsed())
        self._unsettled_until = 0.0

    def begin(self) -> None:
        """Repair what an earlier controller recorded with a clock that was ahead. Raises StateError.

        Call it before anything is computed from the cursors.
        """
        now = self._clock.now()
        self._rewind(now, now, [], may_be_back=True)

    def look(self, *, is_tick: bool) -> bool:
        """Take notice of a jump; whether due times may be decided about. Raises StateError."""
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

    def _rewind(self, now: datetime, since: datetime, told: list[Event], *, may_be_back: bool = False) -> None:
        """Let deployments that are accounted for past `now` count from `since`: otherwise they are silent until then.

        Skips that the wrong clock recorded for times to come are deleted, so that these times are decided when they
        are due. Runs that wait for a time of the wrong clock wait only as long as they should.
        """
        with self._store.read() as tx:
            furthest = inventory.furthest_cursor(tx)
            lead = timedelta(0) if furthest is None else furthest - now
            is_ahead = lead > JUMP
            waiting = runs.waiting_for_time(tx, now) if is_ahead or may_be_back else []
        sooner = [(run, changes) for run in waiting if (changes := _sooner(run, now))]
        if not (is_ahead or told or sooner):
            return
        if is_ahead and not told:
            told = [_event(now, -lead)]
            log.warning("The clock is behind the recorded due times", extra={"seconds": round(lead.total_seconds(), 3)})
        with self._store.write() as tx:
            inventory.rewind_cursors(tx, now, since)
            if is_ahead or may_be_back:
                occurrences.delete_skipped_after(tx, now)
            for run, changes in sooner:
                runs.move(tx, run.id, expect=run.state, to=run.state, **changes)
            events.append(tx, told)


def _sooner(run: Run, now: datetime) -> dict[str, datetime]:
    """The times of this run that a wrong clock computed, as they should be; empty if all of them can be right."""
    found = {"not_before": _latest_start(run, now), "start_by": _latest_deadline(run, now)}
    return {name: moment for name, moment in found.items() if moment is not None}


def _latest_start(run: Run, now: datetime) -> datetime | None:
    """When this run should start instead; None if it waits for a time that can be right."""
    latest = run.not_before
    if run.state is RunState.RETRYING and run.retries is not None:
        latest = now + delay(run.retries, run.id, run.attempt)
    elif run.scheduled_for is not None and run.scheduled_for > now and run.not_before is not None:
        latest = now + max(timedelta(0), run.not_before - run.scheduled_for)
    return latest if latest is not None and run.not_before is not None and latest < run.not_before else None


def _latest_deadline(run: Run, now: datetime) -> datetime | None:
    """By when this run should have started instead; None if its deadline can be right."""
    if run.start_by is None or run.scheduled_for is None or run.scheduled_for <= now:
        return None
    return now + max(timedelta(0), run.start_by - run.scheduled_for)


def _event(now: datetime, jump: timedelta) -> Event:
    seconds = jump.total_seconds()
    way = "forward" if seconds > 0 else "back"
    message = f"The clock was set {way} by {abs(seconds):.0f} s, to {in_utc(now)}."
    return Event(time=now, severity=EventSeverity.WARNING, reason="ClockJumped", message=message, about="controller")
