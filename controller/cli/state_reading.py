"""Waits for a run to finish."""

import threading
from collections.abc import Callable
from typing import Any

from controller.errors import UsageError

POLL_SECONDS = 0.05


def wait_for_run(state: Any, run_id: str, on_change: Callable[[Any], None] | None = None) -> Any:
    """Wait until this run finishes and return it; call `on_change` with the run whenever its state has changed.

    Raises UsageError if the controller exits before the run finishes.
    """
    from controller.clock import SystemClock
    from controller.model.runs import RunState
    from controller.queries.runs import find_run
    from controller.store import Store

    store, clock = Store.open_read_only(state.database), SystemClock()
    pause = threading.Event()
    reported = None
    try:
        while True:
            # Checked before the run is read: a run may finish at the same time as its controller exits.
            is_last = state.holder() is None
            with store.read() as tx:
                run = find_run(tx, run_id, clock.now() if on_change is not None else None)
            if on_change is not None and (run.state, run.attempt, run.waiting) != reported:
                on_change(run)
                reported = (run.state, run.attempt, run.waiting)
            if RunState(run.state).is_terminal:
                return run
            if is_last:
                raise UsageError(
                    f"No controller is running, and run {run_id} is {run.state}; the next controller continues it."
                )
            pause.wait(POLL_SECONDS)
    finally:
        store.close()
