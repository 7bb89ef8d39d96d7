"""Opens the state of a controller, once it may lead the project, and checks that the state is complete and its own."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from controller.app.executors import place_of
from controller.app.stop_signal import StopSignal
from controller.clock import Clock
from controller.errors import AlreadyRunningError, StateError, StateLostError, StoppingError
from controller.settings import PROJECT, Settings, was_deposed
from controller.state_url import StateUrl
from controller.store import Store
from controller.store.database import find_database
from controller.store.history_check import check_history
from controller.store.ownership import claim
from controller.store.state_directory import StateDirectory

if TYPE_CHECKING:
    from controller.app.leading import Leading
    from controller.app.standby import Standby

log = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0


def open_state(
    state: StateDirectory, settings: Settings, clock: Clock, stop_signal: StopSignal, standby: "Standby"
) -> "tuple[Store, Leading | None]":
    """Return the store, and for a database on a server the leadership. The state directory is unlocked on an error.

    `standby` serves requests while another controller leads.

    Raises:
        AlreadyRunningError: another controller leads the project, and `settings.waits` is not set.
        StateError: the state can't be used, or has lost its history.
        StoppingError: the stop signal arrived while another controller was leading.
        UsageError: the state belongs to another repository.
    """
    failure = None
    try:
        while True:
            try:
                signal = stop_signal if settings.waits else None
                return _open(state, settings, clock, signal, standby, stop_signal.fail)
            except (StateLostError, AlreadyRunningError):
                raise
            except StateError as error:
                is_patient = standby.has_waited or was_deposed()  # it could use the server before
                if not (settings.waits and is_patient):
                    raise
                if error.message != failure:
                    log.warning("The state database can't be used; retrying", extra={"error": error.message})
                failure = error.message
            if stop_signal.wait(_RETRY_SECONDS):
                raise StoppingError
    except BaseException:
        standby.close()
        state.release()
        raise


def _open(
    state: StateDirectory,
    settings: Settings,
    clock: Clock,
    stop_signal: StopSignal | None,
    standby: "Standby",
    on_failure: Callable[[], None],
) -> "tuple[Store, Leading | None]":
    """Open the state once. With a stop signal, wait until no other controller leads the project."""
    leading = (
        None
        if isinstance(state.database, Path)
        else _lead(state, state.database, settings, clock, stop_signal, standby)
    )
    try:
        check_history(state)
        leadership = None if leading is None else leading.leadership
        store = Store.open(state.database, project=PROJECT, check=state.check, leadership=leadership)
    except BaseException:
        if leading is not None:
            leading.leadership.release()
        raise
    try:
        state.remember()
        if leading is not None:
            leading.start(on_failure)
        with store.write() as tx:
            claim(tx, settings.location, clock.now(), is_adopted=settings.adopt_state)
    except BaseException:
        if leading is not None:
            leading.stop()
        store.close()
        raise
    return store, leading


def _lead(
    state: StateDirectory,
    url: StateUrl,
    settings: Settings,
    clock: Clock,
    stop_signal: StopSignal | None,
    standby: "Standby",
) -> "Leading":
    """Lead the project; with a stop signal, wait until no other controller leads it."""
    find_database(url)  # raises StateError without psycopg, which is optional
    from controller.app.leading import Leading

    leading = Leading(url, clock, place_of(state), settings.grace)
    try:
        leading.wait(stop_signal, standby.serve)
    except BaseException:
        leading.leadership.release()
        raise
    return leading
