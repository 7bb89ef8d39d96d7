"""Reads from the state for several commands: open a transaction, find a run, parse a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

from controller.cli.state_access import read_state_if_any
from controller.errors import NotFoundError, UsageError
from controller.settings import Location


@contextmanager
def read_transaction(location: Location) -> Iterator[tuple[Any, Any]]:
    """Yield a read transaction, or None if there is no state yet, and the state directory."""
    from controller.store.state_directory import StateDirectory

    with read_state_if_any(location) as tx:
        yield tx, StateDirectory(location.state_dir)


def get_run(location: Location, run_id: str) -> tuple[Any, Path]:
    """Return the run with this id, which may be abbreviated, and the directory of all runs. Raises NotFoundError."""
    from controller.clock import SystemClock
    from controller.queries.runs import find_run

    with read_transaction(location) as (tx, state):
        if tx is None:
            raise NotFoundError(f"There is no run {run_id!r}.", hint="See `controller runs list`.")
        return find_run(tx, run_id, SystemClock().now(), directory=state.runs), state.runs


def parse_time_option(option: str, text: str, now: datetime, zone: tzinfo | None = None, *, sign: int = -1) -> datetime:
    """Parse the value of a time option, such as `now`, `yesterday`, `2h` or a date, into an instant.

    A bare duration is in the past, or in the future with `sign` 1. Times without an offset are in `zone`, or in the
    time zone of the machine if it is None. Raises UsageError.
    """
    from controller.errors import ScheduleError
    from controller.schedules import parse_moment

    try:
        return parse_moment(text, now, zone, sign=sign)
    except ScheduleError as error:
        if isinstance(error.__cause__, OverflowError):
            raise UsageError(f"{option} {error.message}.", hint=error.hint) from error
        length = "an age" if sign < 0 else "a duration"
        message = f"{option} {text!r} is neither a date-time nor {length} such as 2h."
        if isinstance(error.__cause__, OverflowError):
            message = f"{option} {text!r} is out of range."
        raise UsageError(message, hint=error.hint) from error


def zone_of(location: Location, name: str | None) -> tzinfo | None:
    """Return the time zone of the schedules of a deployment; None if they have no common one."""
    from controller.queries.deployment_details import zone_of as stored_zone

    if name is None:
        return None
    with read_transaction(location) as (tx, _):
        return None if tx is None else stored_zone(tx, name)
