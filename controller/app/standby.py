"""The server of a controller while another one leads: the API and the dashboard, from the shared database.

It reads. The leader gets what changes something, and what needs the leader's files (`controller.api.http.forwarding`).
"""

import logging
import socket
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from controller.api.http.forwarder import Forwarder
from controller.app.web import Web
from controller.clock import Clock
from controller.errors import ControllerError, NoLeaderError, NoStateError, StateError
from controller.listen_settings import is_loopback_url
from controller.manifests.active_deployments import ActiveDeployments
from controller.operations.context import OperationContext
from controller.operations.parameter_check import Parameters
from controller.queries.leadership import Role, Standing
from controller.queries.parameter_form import Forms
from controller.remotes import RemoteUrl
from controller.runs.admission import Admission
from controller.runs.ids import RunIds
from controller.settings import Settings
from controller.sources.open_source import open_source
from controller.store import Store, Transaction, runs
from controller.store.leaders import find_leader
from controller.store.open_state import open_read_only
from controller.store.state_directory import StateDirectory

log = logging.getLogger(__name__)

_RETRY_SECONDS = 5.0


class Standby:
    """Serves requests from the first call of `serve` until `close`. Used from the main thread.

    A separate thread starts the server, because this waits for the database. The main thread must not wait: it keeps
    checking who leads. `has_waited`: whether another controller was leading.
    """

    has_waited = False

    def __init__(self, settings: Settings, state: StateDirectory, clock: Clock) -> None:
        self._settings, self._state, self._clock = settings, state, clock
        self._store: Store | None = None
        self._web: Web | None = None
        self._starting: threading.Thread | None = None
        self._is_closed = False
        self._lock = threading.Lock()
        self._problem: str | None = None
        self._polled_at = self._next_attempt = clock.elapsed()
        listen = settings.listen
        self._forwarder = Forwarder(
            find_url=self._find_url,
            has_files=self._has_files,
            has_source=not isinstance(settings.location.repo, RemoteUrl),
            certificate=None if listen is None else listen.certificate,
        )

    def serve(self) -> None:
        """Start to serve as soon as possible. Called after each check of who leads.

        Returns at once.
        """
        self.has_waited = True
        self._polled_at = self._clock.elapsed()
        is_starting = self._starting is not None and self._starting.is_alive()
        if self._web is not None or is_starting or self._polled_at < self._next_attempt:
            return
        self._starting = threading.Thread(target=self._try_to_start, name="standby", daemon=True)
        self._starting.start()

    def _try_to_start(self) -> None:
        try:
            self._start()
        except ControllerError as error:
            if error.message != self._problem:
                log.warning("The standby serves no requests yet", extra={"error": error.message, "hint": error.hint})
            self._problem, self._next_attempt = error.message, self._polled_at + _RETRY_SECONDS

    def close(self) -> None:
        """Stop serving, and never start again. Does nothing if called again.

        Does not wait for the database: a server that is still starting closes its connections later.
        """
        with self._lock:
            self._is_closed = True
            web, store = self._web, self._store
            self._web = self._store = None
        if web is not None:
            web.close()
        if store is not None:
            store.close()

    def standing(self) -> Standing:
        """Return the role for the status."""
        lag = max(0.0, self._clock.elapsed() - self._polled_at)
        return Standing(role=Role.STANDBY, lag_seconds=round(lag, 3), forwarded_requests=self._forwarder.count)

    def _start(self) -> None:
        """Start the server, unless the leader is still creating the database. Raises ControllerError."""
        try:
            store = open_read_only(self._settings.location)
        except NoStateError:
            return
        assert store is not None
        try:
            web = self._make_web(store)
            with self._lock:
                if not self._is_closed:
                    self._store = store
                    web.start()
                    self._web = web
        finally:
            if self._web is None:
                self._store = None
                store.close()

    def _make_web(self, store: Store) -> Web:
        location = self._settings.location
        source = open_source(location, working_tree=self._settings.working_tree)
        operations = OperationContext(
            store=store,
            clock=self._clock,
            admission=Admission(self._clock, RunIds(), ActiveDeployments()),
            parameters=Parameters(store, Forms(source), location.environment),
            wake=lambda: None,
            notify_due=lambda _name: None,
            request_pass=_refuse,
            test_channel=_refuse,
        )
        return Web(self._settings, self._state, source, operations, self.standing, forwarder=self._forwarder)

    def _read(self) -> Any:
        if self._store is None:
            raise StateError("The controller is starting or stopping.")
        return self._store.read()

    def _find_url(self) -> str:
        """Return the URL of the leader. Raises NoLeaderError, StateError."""
        with self._read() as tx:
            leader = find_leader(tx)
        if leader is None or not leader.leads:
            raise NoLeaderError("No controller leads at the moment.", hint="Try again in a few seconds.")
        if leader.url is None:
            raise NoLeaderError(
                f"The leader on {leader.host} is starting, or serves no address.",
                hint="If this does not pass, start all controllers with --listen.",
            )
        if is_loopback_url(leader.url) and leader.host != socket.gethostname():
            raise NoLeaderError(
                f"The leader on {leader.host} serves only its own machine, at {leader.url}.",
                hint="Start all controllers with an address that the others reach: see --listen and --advertise.",
            )
        return leader.url

    def _has_files(self, run_id: str) -> bool:
        """Return whether a run has ended, and the files of its last attempt are here. True for an unknown run."""
        with self._read() as tx:
            return has_files(tx, self._state.runs, run_id)


def has_files(tx: Transaction, directory: Path, run_id: str) -> bool:
    """Return whether a run has ended, and the files of its last attempt are in this directory of runs.

    A controller that led only for a part of an attempt on a cluster has only a part of its log, and no `exit`.
    """
    run = runs.find(tx, run_id)
    if run is None:
        return True
    if not run.state.is_terminal:
        return False
    if run.attempt == 0:
        return True
    is_remote = any(attempt.job_id is not None for attempt in runs.attempts_of(tx, run.id)[-1:])
    found = (directory / run.id).glob(f"{run.attempt}-*")
    return any(not is_remote or (attempt / "exit").exists() for attempt in found)


def _refuse(*_: object) -> "Future[Any]":
    raise NoLeaderError("This controller is a standby.")
