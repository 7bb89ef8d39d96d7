"""How commands reach what a controller knows: they ask it over its socket, or look into its database without it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from controller.settings import Location

if TYPE_CHECKING:
    from controller.store import Transaction


def ask(location: Location, request: Mapping[str, Any], *, seconds: float = 30.0) -> dict[str, Any]:
    """Ask the running controller; its answer, within so many `seconds`. Raises ControllerError."""
    from controller.api import control
    from controller.store.directory import StateDirectory

    return control.ask(StateDirectory(location.state_dir).socket, request, seconds=seconds)


@contextmanager
def looking(location: Location) -> "Iterator[Transaction]":
    """One view of the state. Raises StateError if there is none."""
    from controller.errors import StateError

    with looking_if_any(location) as tx:
        if tx is None:
            raise StateError(f"There is no state at {location.state_dir}.", hint="Start `controller run` first.")
        yield tx


@contextmanager
def looking_if_any(location: Location) -> "Iterator[Transaction | None]":
    """The same; None where no controller has run."""
    from controller.store import Store
    from controller.store.directory import StateDirectory

    store = Store.look_if_any(StateDirectory(location.state_dir).database)
    if store is None:
        yield None
        return
    try:
        with store.read() as tx:
            yield tx
    finally:
        store.close()
