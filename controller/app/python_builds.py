"""Opens the Python environments of a location for commands that build them, without or beside a running controller.

A build holds the lock of the directory, so that an environment is never built twice at once. `cli` calls this.
"""

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from controller import __version__
from controller.clock import Clock
from controller.errors import AlreadyRunningError, StateError
from controller.manifests.reader import DesiredState, ManifestReader
from controller.model.python_environments import PythonRequest
from controller.python_environments import PythonEnvironments
from controller.records import dataclass
from controller.settings import PROJECT, Location, UvSettings
from controller.sources.source import Source
from controller.store import Store
from controller.store.history_check import check_history
from controller.store.open_state import open_read_only
from controller.store.ownership import claim
from controller.store.state_directory import StateDirectory

_ATTEMPTS = 100
_PAUSE_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredPython:
    """The Python environments that a revision declares. `deployments` has the names that share a request."""

    desired: DesiredState
    requests: Mapping[str, PythonRequest]
    deployments: Mapping[str, tuple[str, ...]]
    committed_at: datetime | None


def read_declared(source: Source, environment: str | None, now: datetime) -> DeclaredPython:
    """Return what the current revision of the source declares, by the digest of the request. Raises SourceError."""
    revision = source.observe()
    snapshot = source.read(revision)
    reader = ManifestReader(environment)
    desired = reader.read(snapshot.files, now, snapshot.project, source.code(revision))
    desired.check_environment()
    requests: dict[str, PythonRequest] = {}
    deployments: dict[str, tuple[str, ...]] = {}
    for name, request in sorted(desired.python_requests.items()):
        if name not in desired.deployments:  # ambiguous, or controller.yaml is invalid
            continue
        requests.setdefault(request.digest, request)
        deployments[request.digest] = (*deployments.get(request.digest, ()), name)
    committed_at = source.committed_at(revision) if requests else None
    return DeclaredPython(desired=desired, requests=requests, deployments=deployments, committed_at=committed_at)


@contextmanager
def open_environments(location: Location, settings: UvSettings, clock: Clock) -> Iterator[PythonEnvironments]:
    """Yield the Python environments in the state of this location, which is created if there is none.

    Raises StateError, UsageError.
    """
    logging.getLogger("controller.python_environments").addHandler(logging.NullHandler())  # callers print failures
    mask = os.umask(0o077)
    try:
        state = StateDirectory.at(location)
        store = _open_store(state, location, clock)
        environments = PythonEnvironments(store, clock, state.python, settings)
        try:
            yield environments
        finally:
            environments.stop()
            store.close()
    finally:
        os.umask(mask)


def _open_store(state: StateDirectory, location: Location, clock: Clock) -> Store:
    """Open the database of a running controller or without one. Waits while another process creates or migrates it."""
    for _ in range(_ATTEMPTS):
        try:
            is_running = state.path.exists() and state.holder() is not None
            store = _open_beside(state, location) if is_running else _open_alone(state, location, clock)
        except AlreadyRunningError:
            store = None
        if store is not None:
            return store
        threading.Event().wait(_PAUSE_SECONDS)
    raise StateError("Another process is creating the state.", hint="Wait until `controller run` has started.")


def _open_beside(state: StateDirectory, location: Location) -> Store | None:
    """Open the database of a running controller, which must be of this version; None while it creates the database.

    Raises StateError, UsageError.
    """
    store = open_read_only(location)
    if store is None:
        return None
    store.close()
    return Store.open_beside(state.database, project=PROJECT)


def _open_alone(state: StateDirectory, location: Location, clock: Clock) -> Store:
    """Open the database, and create or migrate it as a controller does.

    Raises AlreadyRunningError, StateError, UsageError.
    """
    state.hold(version=__version__, now=clock.now(), pause=threading.Event().wait)
    try:
        check_history(state)
        store = Store.open(state.database, project=PROJECT)
        try:
            with store.write() as tx:
                claim(tx, location, clock.now(), is_adopted=False)
        except BaseException:
            store.close()
            raise
        return store
    finally:
        state.release()
