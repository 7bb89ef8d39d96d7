"""Gives commands access to the state: a client of the running controller, or what the database says."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import tzinfo
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from controller.errors import ConflictError, ControllerError, NotFoundError, NotRunningError, UsageError
from controller.settings import Location
from controller.time_format import ZoneOf

if TYPE_CHECKING:
    from controller.client import Client
    from controller.model.backfills import BackfillProgress
    from controller.model.runs import RunDetail
    from controller.store import Transaction


@contextmanager
def connected_client(location: Location) -> "Iterator[Client]":
    """Yield a client of the running controller.

    Inside the block, problems that the controller reports and failed connections are raised as ControllerErrors.
    """
    from controller.client import Client, NoAnswerError, NotReachedError, ProblemError
    from controller.store.access_check import check_access, check_owner
    from controller.store.state_directory import StateDirectory

    directory = StateDirectory.at(location)
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
        raise ControllerError("The controller did not respond.", hint="It may have just exited; try again.") from error


@contextmanager
def read_state(location: Location) -> "Iterator[Transaction]":
    """Yield a read transaction on the state. Raises StateError if there is no state."""
    from controller.errors import StateError
    from controller.store.access_check import name_state

    with read_state_if_any(location) as tx:
        if tx is None:
            raise StateError(
                f"There is no state in the {name_state(location)} yet.", hint="Wait until `controller run` has started."
            )
        yield tx


@contextmanager
def read_state_if_any(location: Location) -> "Iterator[Transaction | None]":
    """Yield a read transaction, or None while the first controller starts. Raises NoStateError if none ever ran."""
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


def get_run(location: Location, run_id: str) -> "tuple[RunDetail, Path]":
    """Return the run with this id, which may be abbreviated, and the directory of all runs. Raises NotFoundError."""
    from controller.clock import SystemClock
    from controller.queries.runs import find_run
    from controller.store.state_directory import StateDirectory

    directory = StateDirectory.at(location).runs
    with read_state_if_any(location) as tx:
        if tx is None:
            raise NotFoundError(f"There is no run {run_id!r}.", hint="See `controller runs list`.")
        return find_run(tx, run_id, SystemClock().now(), directory=directory), directory


def get_backfill(location: Location, backfill_id: str) -> "BackfillProgress":
    """Return the backfill with this id, which may be abbreviated. Raises NotFoundError."""
    from controller.queries.backfills import find_backfill

    with read_state(location) as tx:
        return find_backfill(tx, backfill_id)


def check_names(tx: "Transaction", deployment: str | None, tag: str | None) -> None:
    """Raise NotFoundError if nothing recorded has this deployment name or this tag."""
    from controller.store.name_lookup import check_recorded, check_tag

    if deployment is not None:
        check_recorded(tx, deployment)
    if tag is not None:
        check_tag(tx, tag)


def zone_of(location: Location, name: str | None) -> tzinfo | None:
    """Return the time zone of the schedules of a deployment; None if they have no common one."""
    from controller.queries.deployment_details import zone_of as stored_zone

    if name is None:
        return None
    with read_state_if_any(location) as tx:
        return None if tx is None else stored_zone(tx, name)


def zones_of(location: Location) -> ZoneOf:
    """Return a function that finds the time zone of the schedules of a deployment by its name, and remembers it."""
    return cache(partial(zone_of, location))
