"""How commands open a state that they only look at: that of this repository, or an error that says why not."""

import os
import pwd
from contextlib import suppress

from controller.errors import ControllerError, NoStateError, StateError
from controller.settings import Location
from controller.store import ownership
from controller.store.history_check import check_presence
from controller.store.state_directory import StateDirectory
from controller.store.store import Store


def open_to_look(location: Location) -> Store | None:
    """The state of this location's repository; None while its first controller is only just starting.

    Raises NoStateError where no controller has ever run, StateError for a state that can't be read or has lost its
    history, UsageError for the state of another repository.
    """
    state = StateDirectory(location.state_dir)
    check_access(location)
    check_presence(state)
    store = Store.look_if_any(state.database)
    if store is not None:
        try:
            with store.read() as tx:
                ownership.check_to_look(tx, location)
        except ControllerError:
            store.close()
            raise
    return store


def check_access(location: Location) -> None:
    """Raises NoStateError where no controller has ever run, StateError where only another user may look."""
    state = StateDirectory(location.state_dir)
    try:
        found = state.path.stat()
        is_used = state.is_used()
    except (FileNotFoundError, NotADirectoryError):
        is_used = False
    except PermissionError as error:
        raise StateError(f"The state directory {state.path} can't be read: {error.strerror}.") from error
    if not is_used:
        raise NoStateError(
            f"No controller has ever run for {location.repo}: there is no state at {state.path}.",
            hint="Start one with `controller run`, or name its repository with --repo or its state with --state-dir.",
        )
    if not os.access(state.path, os.R_OK | os.X_OK, effective_ids=True):
        user = _name(found.st_uid)
        pid = state.holder_seen_from_outside()
        raise StateError(
            f"The state directory {state.path} belongs to the user {user}."
            if pid is None
            else f"A controller of the user {user} runs here (pid {pid}): its state is {state.path}.",
            hint=f"Ask as {user} or as root.",
        )


def check_owner(location: Location) -> None:
    """Raises UsageError if the state is known to be another repository's; one that can't be read says nothing."""
    with suppress(StateError):
        store = open_to_look(location)
        if store is not None:
            store.close()


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
