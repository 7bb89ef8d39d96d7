"""Keeps the Python environments of deployments: records what they ask for, and has it built, one after another.

Passes and the engine call `ensure`, which never waits for uv: a thread builds. Commands build in the foreground.
The builder and its libraries are loaded with the first request.
"""

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from controller.backoff import Backoff
from controller.clock import Clock
from controller.errors import ControllerError, StateLostError, StoppingError
from controller.model.python_environments import (
    PythonEnvironment,
    PythonRequest,
    PythonRuntime,
    PythonState,
    PythonStatistics,
)
from controller.python_environments.build_jobs import FIRST_RETRY, LONGEST_RETRY, Job
from controller.settings import UvSettings
from controller.store import Store
from controller.store import python_environments as table

if TYPE_CHECKING:
    from controller.python_environments.builder import Builder

log = logging.getLogger(__name__)

UNUSED = timedelta(days=14)
"""How long an environment stays that nothing names."""
_USE_IS_RECORDED_EVERY = timedelta(hours=1)
_STOP_SECONDS = 5.0


class PythonEnvironments:
    """The Python environments of one state directory. `on_change` is called when one becomes ready or fails."""

    def __init__(self, store: Store, clock: Clock, directory: Path, settings: UvSettings) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self.statistics = PythonStatistics()
        self._store = store
        self._clock = clock
        self._directory = directory
        self._settings = settings
        self._loaded_builder: Builder | None = None
        self._lock = threading.Lock()
        self._jobs: dict[str, tuple[Job, float]] = {}
        self._uses: dict[str, datetime] = {}
        self._collection: tuple[frozenset[str], datetime] | None = None
        self._wakeup = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="python", daemon=True)

    @property
    def _builder(self) -> "Builder":
        from controller.python_environments.builder import Builder

        with self._lock:
            if self._loaded_builder is None:
                self._loaded_builder = Builder(self._store, self._clock, self._directory, self._settings)
                if self._stopping.is_set():
                    self._loaded_builder.stop()
            return self._loaded_builder

    def start(self) -> None:
        """Remove the leftovers of builds that were interrupted, and start to build. Raises StateError."""
        with self._store.write() as tx:
            table.reset_interrupted(tx)
        self._thread.start()

    def stop(self) -> None:
        """Kill the current build, and stop the thread."""
        with self._lock:
            self._stopping.set()
            if self._loaded_builder is not None:
                self._loaded_builder.stop()
        self._wakeup.set()
        if self._thread.ident is not None:
            self._thread.join(_STOP_SECONDS)

    def ensure(
        self, requests: Iterable[PythonRequest], committed_at: datetime | None = None
    ) -> Mapping[str, PythonEnvironment]:
        """Return the environments of these requests, by the digest of the request; have those built that are not ready.

        `committed_at` is the time as of which a new request is resolved. Never waits for a build. Raises StateError.
        """
        from controller.python_environments.interpreters import is_current

        by_digest = {request.digest: request for request in requests}
        with self._store.read() as tx:
            environments = table.find_all(tx, by_digest)
        new = [request for digest, request in by_digest.items() if digest not in environments]
        if new:
            with self._store.write() as tx:
                environments.update({one.digest: self._builder.record_new(tx, one, committed_at) for one in new})
        for digest, environment in environments.items():
            if environment.state is PythonState.READY and not self._builder.is_ready(by_digest[digest], environment):
                environments[digest] = _waiting_again(environment)
        for digest, environment in environments.items():
            is_ready = environment.state is PythonState.READY
            if not is_ready or not is_current(environment.interpreter):
                job = Job(request=by_digest[digest], is_refresh=is_ready)
                self._enqueue(job, self._pause(environment))
        return environments

    def find(self, request_digest: str) -> PythonEnvironment | None:
        """Return the environment of the request with this digest, or None if there is no such request."""
        with self._store.read() as tx:
            return table.find(tx, request_digest)

    def find_runtime(self, request: PythonRequest, preload: tuple[str, ...] = ()) -> PythonRuntime | None:
        """Return how to start a flow in the environment of this request, and record that it is used.

        None while it is not ready. Raises StateError.
        """
        environment = self.find(request.digest)
        if environment is None or not self._builder.is_ready(request, environment):
            return None
        assert environment.executable is not None
        assert environment.digest is not None
        if not self._record_use(environment.digest):
            return None
        return PythonRuntime(
            executable=environment.executable,
            digest=environment.digest,
            preload=preload,
            version=environment.version,
            declared_at=request.declared_at,
        )

    def build(self, request: PythonRequest, committed_at: datetime | None = None) -> PythonEnvironment:
        """Build the environment of this request now, unless it is ready. Return it, ready or failed.

        Raises OSError, StateError, StoppingError.
        """
        environment = self.find(request.digest)
        if environment is not None and self._builder.is_ready(request, environment):
            return environment
        self._builder.prepare()
        return self._builder.build(Job(request=request), committed_at)

    def collect(self, named: Collection[str], now: datetime) -> None:
        """Remove environments that neither these requests nor unfinished runs name, unused for 14 days.

        Returns at once if the thread runs, which then does it after the current build. Raises as `build` does.
        """
        if self._thread.is_alive():
            self._collection = (frozenset(named), now)
            self._wakeup.set()
        elif self._has_any():
            self._builder.collect(named, now - UNUSED)

    def prune(self, named: Collection[str]) -> list[str]:
        """Remove environments that neither these requests nor unfinished runs name. Return their digests.

        Raises as `build` does.
        """
        return self._builder.collect(named, self._clock.now())

    def _record_use(self, digest: str) -> bool:
        """Record a use of an environment, unless one was recorded lately. Return False if it was removed."""
        now = self._clock.now()
        last = self._uses.get(digest)
        if last is None or not timedelta() <= now - last < _USE_IS_RECORDED_EVERY:
            with self._store.write() as tx:
                if not table.mark_used(tx, digest, now):
                    return False
            self._uses[digest] = now
        return True

    def _enqueue(self, job: Job, pause: float) -> None:
        with self._lock:
            self._jobs.setdefault(job.request.digest, (job, self._clock.monotonic() + pause))
        self._wakeup.set()

    def _pause(self, environment: PythonEnvironment) -> float:
        """Return the seconds until a failed build is tried again. A clock that was set back can't make that long."""
        if environment.retry_at is None:
            return 0.0
        return min(environment.retry_at - self._clock.now(), LONGEST_RETRY).total_seconds()

    def _run(self) -> None:
        """Build what is due until `stop`."""
        is_prepared = False
        backoff = Backoff(self._clock, first=FIRST_RETRY.total_seconds(), longest=LONGEST_RETRY.total_seconds())
        while not self._stopping.is_set():
            self._wakeup.clear()
            try:
                if not is_prepared and self._has_files():
                    self._builder.prepare()
                is_prepared = True
                self._collect()
                self._build_next()
                backoff.succeed()
            except (StoppingError, StateLostError):
                return
            except (ControllerError, OSError) as error:
                if backoff.fail(str(error)):
                    log.error("Python environments can't be built", extra={"error": str(error)})
                self._stopping.wait(backoff.seconds)

    def _collect(self) -> None:
        """Do the collection that was requested, and drop the failed builds that nothing names."""
        request, self._collection = self._collection, None
        if request is not None:
            named, now = request
            with self._lock:
                failed = [digest for digest, (_, due) in self._jobs.items() if due > self._clock.monotonic()]
                for digest in set(failed) - named:
                    del self._jobs[digest]
            if self._has_any():
                self._builder.collect(named, now - UNUSED)

    def _has_any(self) -> bool:
        """Whether there are requests, or files of environments."""
        with self._store.read() as tx:
            return self._has_files() or bool(table.count_by_state(tx))

    def _has_files(self) -> bool:
        """Whether there are files other than the lock, which remains when all environments are removed."""
        return self._directory.is_dir() and any(path.name != "lock" for path in self._directory.iterdir())

    def _build_next(self) -> None:
        """Build the environment that has been due longest, or wait until one is. Raises StateError, StoppingError."""
        with self._lock:
            job, due = min(self._jobs.values(), key=lambda entry: entry[1], default=(None, 0.0))
        pause = None if job is None else due - self._clock.monotonic()
        if job is None or (pause is not None and pause > 0):
            self._wakeup.wait(pause)
            return
        begin = self._clock.monotonic()
        environment = self._builder.build(job)
        has_failed = environment.retry_at is not None
        self.statistics = PythonStatistics(
            builds=self.statistics.builds + 1,
            failures=self.statistics.failures + has_failed,
            last_build_seconds=self._clock.monotonic() - begin,
        )
        with self._lock:
            del self._jobs[job.request.digest]
        if has_failed:
            self._enqueue(job, self._pause(environment))
        self.on_change()


def _waiting_again(environment: PythonEnvironment) -> PythonEnvironment:
    return replace(environment, state=PythonState.WAITING, reason="Building", message="Waiting to be built again.")
