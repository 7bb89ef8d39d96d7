"""Opens the state of a controller, once it may lead the project, and checks that the state is complete and its own."""

from typing import TYPE_CHECKING

from controller.app.stop_signal import StopSignal
from controller.clock import Clock
from controller.errors import StateError
from controller.settings import PROJECT, Settings
from controller.state_url import StateUrl
from controller.store import Store
from controller.store.history_check import check_history
from controller.store.ownership import claim
from controller.store.state_directory import StateDirectory

if TYPE_CHECKING:
    from controller.app.leading import Leading


def open_state(
    state: StateDirectory, settings: Settings, clock: Clock, stop_signal: StopSignal
) -> "tuple[Store, Leading | None]":
    """Return the store, and for a database on a server the leadership. The state directory is unlocked on an error.

    Raises:
        StateError: the state can't be used, or has lost its history.
        StoppingError: the stop signal arrived while another controller was leading.
        UsageError: the state belongs to another repository.
    """
    leading = None
    try:
        if isinstance(state.database, StateUrl):
            leading = _wait_to_lead(state.database, clock, stop_signal)
        check_history(state)
        leadership = None if leading is None else leading.leadership
        store = Store.open(state.database, project=PROJECT, check=state.check, leadership=leadership)
        state.remember()
    except BaseException:
        if leading is not None:
            leading.leadership.release()
        state.release()
        raise
    try:
        if leading is not None:
            leading.start()
        with store.write() as tx:
            claim(tx, settings.location, clock.now(), is_adopted=settings.adopt_state)
    except BaseException:
        if leading is not None:
            leading.stop()
        store.close()
        state.release()
        raise
    return store, leading


def _wait_to_lead(url: StateUrl, clock: Clock, stop_signal: StopSignal) -> "Leading":
    """Wait until no other controller leads the project."""
    try:
        from controller.app.leading import Leading
    except ImportError as error:
        raise StateError(
            "--state-url needs psycopg, which is not installed.",
            hint="Install it with `pip install 'flow-controller[postgresql]'`.",
        ) from error
    leading = Leading(url, clock, stop_signal.set)
    try:
        leading.wait(stop_signal)
    except BaseException:
        leading.leadership.release()
        raise
    return leading
