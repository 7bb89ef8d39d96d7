"""Opens the state read-only for commands, and explains why it can't be opened or belongs to another repository."""

import os
import pwd
from contextlib import suppress

from controller.errors import ControllerError, NoStateError, StateError
from controller.settings import Location
from controller.store import ownership
from controller.store.history_check import check_presence
from controller.store.state_directory import StateDirectory
from controller.store.store import Store


def open_read_only(location: Location) -> Store | None:
    """Open the state of this location's repository; None while its first controller is still creating the database.

    Raises:
        NoStateError: no controller has ever run for this repository.
        StateError: the state can't be read, or has lost its history.
        UsageError: the state belongs to another repository.
    """
    state = StateDirectory(location.state_dir)
    check_access(location)
    check_presence(state)
    store = Store.open_existing(state.database)
    if store is not None:
        try:
            with store.read() as tx:
                ownership.check_repository(tx, location)
        except ControllerError:
            store.close()
            raise
    return store


def check_access(location: Location) -> None:
    """Raise NoStateError if no controller has ever run here, and StateError if only another user may read the state."""
    state = StateDirectory(location.state_dir)
    try:
        status = state.path.stat()
        is_used = state.is_used()
    except (FileNotFoundError, NotADirectoryError):
        is_used = False
    except PermissionError as error:
        raise StateError(f"The state directory {state.path} can't be read: {error.strerror}.") from error
    if not is_used:
        raise NoStateError(
            f"No controller has ever run for {location.repo}: there is no state at {state.path}.",
            hint="Start one with `controller run`, or select another repository with --repo or its state with"
            " --state-dir.",
        )
    if not os.access(state.path, os.R_OK | os.X_OK, effective_ids=True):
        user = _user_name(status.st_uid)
        pid = state.find_holder_pid()
        raise StateError(
            f"The state directory {state.path} belongs to the user {user}."
            if pid is None
            else f"A controller of the user {user} is running (pid {pid}); only that user can read its state"
            f" {state.path}.",
            hint=f"Run this command as {user} or as root.",
        )


def check_owner(location: Location) -> None:
    """Raise UsageError if the state belongs to another repository. Errors while reading the state are ignored."""
    with suppress(StateError):
        store = open_read_only(location)
        if store is not None:
            store.close()


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
