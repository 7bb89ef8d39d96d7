"""Opens the state read-only for commands, and explains why it can't be opened or belongs to another repository."""

from controller.errors import ControllerError, NoStateError
from controller.settings import Location
from controller.store import source_status
from controller.store.access_check import check_access, check_repository
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
    state = StateDirectory.at(location)
    if location.state_url is None:
        check_access(location)
        check_presence(state)
    store = Store.open_existing(state.database)
    if store is None and location.state_url is not None:
        raise NoStateError(
            f"No controller has ever run with the database {location.state_url}.",
            hint="Start one with `controller run`, or correct --project or --state-url.",
        )
    if store is not None:
        try:
            with store.read() as tx:
                status = source_status.find(tx)
            if status is not None:
                check_repository(status.repo, location)
        except ControllerError:
            store.close()
            raise
    return store
