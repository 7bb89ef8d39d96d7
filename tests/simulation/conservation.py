"""The check that the engine never sleeps while it could start a run.

It is independent of the engine: it reads the state again, and applies `model.queues.schedule_queue` to it.
"""

import select
from datetime import datetime, timedelta

from controller.model.queues import EVERYTHING, schedule_queue
from controller.model.runs import RunId, RunState
from controller.runs.engine import TICK_SECONDS, Engine
from controller.store import Store, queues

_INSTANT = timedelta(microseconds=1)


def sleeps_for(engine: Engine, *, until_tick: float = TICK_SECONDS) -> float:
    """Return for how many seconds the engine would now wait, unless an attempt wakes it; 0 if it has been woken."""
    if select.select([engine._wakeups], [], [], 0)[0]:
        return 0.0
    return engine._pause(engine._clock.monotonic() + until_tick)


def check_conservation(engine: Engine, store: Store, *, can_decide: bool = True) -> None:
    """Check that the engine does not sleep while a run can start, nor past the time at which one can.

    `can_decide`: the engine's clock is settled, so that it skips late runs and queues retries.
    """
    seconds = sleeps_for(engine)
    is_pausing = engine.is_stopping or engine._launches.remaining >= seconds
    if seconds <= 0 or is_pausing or len(engine._monitor) >= engine._max_running:
        return
    now = engine._clock.now()
    startable = _find_startable(store, now, now, can_decide=can_decide) - engine.python.waiting
    assert not startable, f"the engine sleeps for {seconds:.3f} s, but these runs can start: {sorted(startable)}"
    before_end = now + timedelta(seconds=seconds) - _INSTANT
    later = _find_startable(store, now, before_end, can_decide=can_decide) - engine.python.waiting
    assert not later, f"the engine sleeps for {seconds:.3f} s, but these runs can start before: {sorted(later)}"


def check_deadlines(engine: Engine, store: Store) -> None:
    """Check that the engine does not sleep past a deadline of a waiting run, nor past a retry that becomes due.

    This also applies while all slots are in use, when the engine starts no run and selects none. Only for an engine
    whose clock is settled.
    """
    seconds = sleeps_for(engine)
    if seconds <= 0:
        return
    now = engine._clock.now()
    with store.read() as tx:
        is_late, change = queues.has_due_changes(tx, now), queues.next_change(tx, now)
    assert not is_late, f"the engine sleeps for {seconds:.3f} s, but a deadline has passed"
    until = seconds if change is None else (change - now).total_seconds()
    assert seconds <= until, f"the engine sleeps for {seconds:.3f} s, but a deadline is in {until:.3f} s"


def _find_startable(store: Store, now: datetime, at: datetime, *, can_decide: bool) -> set[RunId]:
    """Return the runs that can start at this time, given the current load and holds."""
    with store.read() as tx:
        load, waiting = queues.read_load(tx, now), queues.find_waiting(tx)
    if load.running.get(EVERYTHING, 0) >= load.limits[EVERYTHING]:
        return set()
    if not can_decide:
        waiting = [run for run in waiting if run.state is RunState.PENDING]
    return {run.id for run, reason in schedule_queue(waiting, load, at) if reason is None}
