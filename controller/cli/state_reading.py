"""What several commands read of the state: a transaction, one run, a time as people write it, the end of a run."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

from controller.cli.state_access import read_state_if_any
from controller.errors import NotFoundError, UsageError
from controller.settings import Location

POLL_SECONDS = 0.05


@contextmanager
def reading(location: Location) -> Iterator[tuple[Any, Any]]:
    """A transaction and the state directory; no transaction where there is no state yet."""
    from controller.store.state_directory import StateDirectory

    with read_state_if_any(location) as tx:
        yield tx, StateDirectory(location.state_dir)


def find(location: Location, run_id: str) -> tuple[Any, Path]:
    """The view of this run, and where the runs' directories are. Raises NotFoundError."""
    from controller.clock import SystemClock
    from controller.queries.runs import find_run

    with reading(location) as (tx, state):
        if tx is None:
            raise NotFoundError(f"There is no run {run_id!r}.", hint="See `controller runs list`.")
        return find_run(tx, run_id, SystemClock().now(), directory=state.runs), state.runs


def instant(option: str, text: str, now: datetime, zone: tzinfo | None = None, *, sign: int = -1) -> datetime:
    """What an option says as text, as an instant: `now`, `yesterday`, an age (or with `sign` 1 a time to come), a date.

    Local times are those of `zone`, None is the machine's. Raises UsageError.
    """
    from controller.errors import ScheduleError
    from controller.schedules import parse_moment

    try:
        return parse_moment(text, now, zone, sign=sign)
    except ScheduleError as error:
        if isinstance(error.__cause__, OverflowError):
            raise UsageError(f"{option} {error.message}.", hint=error.hint) from error
        length = "an age" if sign < 0 else "a duration"
        message = f"{option} {text!r} is neither a date-time nor {length} like 2h."
        if isinstance(error.__cause__, OverflowError):
            message = f"{option} {text!r} is out of range."
        raise UsageError(message, hint=error.hint) from error


def zone_of(location: Location, name: str | None) -> tzinfo | None:
    """The time zone of the schedules of this deployment; None where they have none or more than one."""
    from controller.queries.deployment_details import zone_of as stored_zone

    if name is None:
        return None
    with reading(location) as (tx, _):
        return None if tx is None else stored_zone(tx, name)


def follow(state: Any, run_id: str, on_change: Callable[[Any], None] | None = None) -> Any:
    """Wait for the end of this run, and return its view; `on_change` gets every state that is seen on the way.

    Raises UsageError if the controller ends before the run does.
    """
    from controller.clock import SystemClock
    from controller.model.runs import RunState
    from controller.queries.runs import find_run
    from controller.store import Store

    store, clock = Store.open_read_only(state.database), SystemClock()
    pause = threading.Event()
    seen = None
    try:
        while True:
            # Asked before the look: a run may end together with its controller.
            is_last = state.holder() is None
            with store.read() as tx:
                run = find_run(tx, run_id, clock.now() if on_change is not None else None)
            if on_change is not None and (run.state, run.attempt, run.waiting) != seen:
                on_change(run)
                seen = (run.state, run.attempt, run.waiting)
            if RunState(run.state).is_terminal:
                return run
            if is_last:
                raise UsageError(f"No controller runs while run {run_id} is {run.state}; the next will go on with it.")
            pause.wait(POLL_SECONDS)
    finally:
        store.close()
