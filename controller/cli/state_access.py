"""How commands reach what a controller knows: they ask it over its socket, or look into its database without it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from controller.errors import ConflictError, ControllerError, NotFoundError, NotRunningError, UsageError
from controller.settings import Location

if TYPE_CHECKING:
    from controller.client import Client
    from controller.store import Transaction


@contextmanager
def connected_client(location: Location) -> "Iterator[Client]":
    """The running controller; within, what it refuses, and that it does not answer, are ControllerErrors."""
    from controller.client import Client, NoAnswerError, NotReachedError, ProblemError
    from controller.store.open_state import check_access, check_owner
    from controller.store.state_directory import StateDirectory

    directory = StateDirectory(location.state_dir)
    check_access(location)
    check_owner(location)
    try:
        yield Client(directory.socket)
    except ProblemError as problem:
        kinds = {kind.reason: kind for kind in (NotFoundError, UsageError, ConflictError)}
        raise kinds.get(problem.reason, ControllerError)(problem.detail, hint=problem.hint) from problem
    except NotReachedError as error:
        raise NotRunningError(
            f"No controller is running for {directory.path}.", hint="Start one with `controller run`."
        ) from error
    except NoAnswerError as error:
        raise ControllerError("The controller did not answer.", hint="It may have just ended; ask again.") from error


@contextmanager
def read_state(location: Location) -> "Iterator[Transaction]":
    """One view of the state. Raises StateError if there is none."""
    from controller.errors import StateError

    with read_state_if_any(location) as tx:
        if tx is None:
            raise StateError(
                f"There is no state at {location.state_dir} yet.", hint="Wait until `controller run` is up."
            )
        yield tx


@contextmanager
def read_state_if_any(location: Location) -> "Iterator[Transaction | None]":
    """The same; None while the first controller is only just starting. Raises NoStateError if none ever ran."""
    from controller.store.open_state import open_read_only

    store = open_read_only(location)
    if store is None:
        yield None
        return
    try:
        with store.read() as tx:
            yield tx
    finally:
        store.close()
