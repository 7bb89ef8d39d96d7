"""Builds the environment of one request and records the result: interpreter, lock, files, state.

Used by `environments`, for one request at a time.
"""

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import threading
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from pathlib import Path

from controller.clock import Clock
from controller.errors import ControllerError, StoppingError, shortage
from controller.model.python_environments import BUILDING, PythonEnvironment, PythonRequest, PythonState
from controller.python_environments.build_jobs import FIRST_RETRY, LONGEST_RETRY, Job
from controller.python_environments.build_log import BuildLog
from controller.python_environments.builds import Build, Builds
from controller.python_environments.failures import PythonBuildError
from controller.python_environments.interpreters import Interpreter, Interpreters, recorded_family
from controller.python_environments.locks import Locks
from controller.python_environments.uv import Uv
from controller.settings import UvSettings
from controller.store import Store, Transaction
from controller.store import python_environments as table

log = logging.getLogger(__name__)

FORMAT = 1
"""The format of environments. Another one builds all of them again."""


class Builder:
    """Builds environments below `directory`."""

    def __init__(self, store: Store, clock: Clock, directory: Path, settings: UvSettings) -> None:
        self._store = store
        self._clock = clock
        self._directory = directory
        self._lock = threading.Lock()
        self._uv = Uv(settings.program, cache=directory / "cache", variables=settings.variables, clock=clock)
        allows_source_builds = settings.allows_source_builds
        self._interpreters = Interpreters(self._uv, allowed=settings.allowed_interpreters, directory=directory)
        self._locks = Locks(self._uv, directory / "scratch", allows_source_builds=allows_source_builds)
        self._builds = Builds(self._uv, directory, allows_source_builds=allows_source_builds)

    def prepare(self) -> None:
        """Remove the leftovers of builds that were interrupted. Raises OSError."""
        if self._directory.is_dir():
            with self._exclusively():
                self._builds.remove_leftovers()

    def stop(self) -> None:
        """Kill the current build: it raises StoppingError, as every later one does."""
        self._uv.stop()

    def is_ready(self, request: PythonRequest, environment: PythonEnvironment) -> bool:
        """Return whether flows can start in this environment now: it is ready, complete, and still allowed."""
        is_there = environment.executable is not None and os.access(environment.executable, os.X_OK)
        if request.interpreter is None:
            is_there = is_there and environment.digest is not None and self._builds.is_complete(environment.digest)
        return environment.state is PythonState.READY and is_there and self._interpreters.is_allowed(request)

    def record_new(self, tx: Transaction, request: PythonRequest, committed_at: datetime | None) -> PythonEnvironment:
        """Record a new request, which waits to be built."""
        environment = PythonEnvironment(
            request=request.digest,
            declared_at=request.declared_at,
            state=PythonState.WAITING,
            reason=BUILDING,
            message="Waiting to be built.",
            created_at=self._clock.now(),
            committed_at=committed_at,
        )
        table.insert_new(tx, environment)
        return environment

    def build(self, job: Job, committed_at: datetime | None = None) -> PythonEnvironment:
        """Build an environment, and return it, ready or failed. Raises StateError, StoppingError."""
        digest = job.request.digest
        build_log = BuildLog(self._log_file(digest))
        with self._exclusively():
            environment = self._find_or_record(job.request, committed_at)
            self._uv.begin()
            try:
                self._make(job, environment, build_log)
            except PythonBuildError as error:
                self._record_failure(job, environment, error, build_log)
            except OSError as error:
                reason = "StorageFull" if shortage(error) else "BuildFailed"
                failure = PythonBuildError(reason, f"The environment can't be written: {error.strerror}.")
                self._record_failure(job, environment, failure, build_log)
            except (KeyboardInterrupt, StoppingError):
                self._record_interrupt(job)
                raise
            except ControllerError:
                raise
            except Exception as error:
                log.exception("The build of a Python environment failed unexpectedly")
                failure = PythonBuildError("BuildFailed", f"Internal error: {type(error).__name__}: {error}")
                self._record_failure(job, environment, failure, build_log)
            with self._store.read() as tx:
                built = table.find(tx, digest)
        assert built is not None
        return built

    def collect(self, named: Collection[str], before: datetime) -> list[str]:
        """Remove the environments that nothing named or used since `before`. Return their digests.

        Raises OSError, StateError, StoppingError.
        """
        with self._exclusively():
            with self._store.write() as tx:
                unused = table.find_unused(tx, named, before)
                for built in unused:
                    table.mark_removed(tx, built.digest)
                requests = table.delete_unnamed(tx, named, before)
                on_disk = table.find_on_disk(tx)
            removed = self._builds.remove_except(on_disk)
            for request in requests:
                self._log_file(request).unlink(missing_ok=True)
            if removed:
                log.info("Unused Python environments removed", extra={"count": len(removed)})
                self._uv.begin()
                self._uv.run(["cache", "prune"], self._directory)
        return removed

    @contextlib.contextmanager
    def _exclusively(self) -> Iterator[None]:
        """Keep other threads, and other processes with the same state, from building. Raises OSError."""
        with self._lock:
            self._directory.mkdir(exist_ok=True, mode=0o700)
            with (self._directory / "lock").open("w") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX)
                yield

    def _log_file(self, request: str) -> Path:
        return self._directory / "logs" / f"{request}.log"

    def _find_or_record(self, request: PythonRequest, committed_at: datetime | None) -> PythonEnvironment:
        with self._store.read() as tx:
            environment = table.find(tx, request.digest)
        if environment is None:
            with self._store.write() as tx:
                environment = self.record_new(tx, request, committed_at)
        return environment

    def _make(self, job: Job, environment: PythonEnvironment, build_log: BuildLog) -> None:
        """Find the interpreter, make the lock unless there is one, and build what the lock says, unless it is there.

        Raises PythonBuildError, OSError, StateError, StoppingError.
        """
        request = job.request
        interpreter = self._interpreters.find(request)
        lock = environment.lock if recorded_family(environment.interpreter) == interpreter.family else None
        if lock is None:
            lock = "" if interpreter.is_used_as_it_is else self._locks.read(request, interpreter)
        if lock is None:
            self._record_start(job, environment)
            lock = self._locks.resolve(request, interpreter, environment.committed_at, build_log)
        digest = _identify(lock, interpreter)
        columns = {"lock": lock, "interpreter": interpreter.to_json(), "digest": digest}
        if interpreter.is_used_as_it_is:
            build = Build(executable=interpreter.executable, packages=interpreter.packages, bytes=0)
        elif (existing := self._builds.find(digest)) is not None:
            build = existing
        else:
            self._record_start(job, environment, **columns)
            build = self._builds.build(digest, lock, interpreter, build_log)
            if "controller" in build.packages:
                fields = {"declared_at": request.declared_at, "version": build.packages["controller"]}
                log.warning("A Python environment has a package with the name of the SDK: controller", extra=fields)
        build_log.save()
        self._record_ready(environment, interpreter, build, build_log.end, columns)
        log.info("Python environment ready", extra={"declared_at": request.declared_at, "digest": digest})

    def _record_start(self, job: Job, environment: PythonEnvironment, **columns: str) -> None:
        """Record that uv starts. An environment that is ready stays so while another one is built.

        A failed one keeps the reason of its failure, so that each retry is not a change of its condition.
        """
        if not job.is_refresh:
            news = {} if environment.attempts else {"reason": BUILDING, "message": "The build is running."}
            with self._store.write() as tx:
                table.change(tx, job.request.digest, state=PythonState.BUILDING.value, **news, **columns)

    def _record_interrupt(self, job: Job) -> None:
        """Record that nobody builds an environment any more, if the state can still be written."""
        if not job.is_refresh:
            state = {"state": PythonState.WAITING.value, "reason": "Building", "message": "Its build was interrupted."}
            with contextlib.suppress(ControllerError), self._store.write() as tx:
                table.change(tx, job.request.digest, **state)

    def _record_ready(
        self,
        environment: PythonEnvironment,
        interpreter: Interpreter,
        build: Build,
        log_end: str,
        columns: Mapping[str, str],
    ) -> None:
        now = self._clock.now()
        built = table.BuiltEnvironment(
            digest=columns["digest"],
            version=interpreter.version,
            packages=build.packages,
            executable=build.executable,
            ready_at=now,
            used_at=now,
            bytes=build.bytes,
        )
        state = {"state": PythonState.READY.value, "reason": "Ready", "message": "", "attempts": 0, "retry_at": None}
        with self._store.write() as tx:
            table.save_built(tx, built)
            table.change(tx, environment.request, **columns, **state, log=log_end or environment.log)

    def _record_failure(
        self, job: Job, environment: PythonEnvironment, error: PythonBuildError, build_log: BuildLog
    ) -> None:
        """Record why a build failed, and when it is tried again. Raises StateError."""
        attempts = environment.attempts + 1
        pause = min(FIRST_RETRY * 2 ** min(attempts - 1, 30), LONGEST_RETRY)
        build_log.add(f"{error.reason}: {error.text}")
        state = {} if job.is_refresh else {"state": PythonState.FAILED.value, "reason": error.reason}
        with self._store.write() as tx:
            table.change(
                tx,
                job.request.digest,
                **state,
                **{"message": error.text, "log": build_log.end},
                **{"attempts": attempts, "retry_at": self._clock.now() + pause},
            )
        fields = {"declared_at": job.request.declared_at, "reason": error.reason, "error": error.text}
        log.warning("A Python environment can't be built", extra=fields)
        with contextlib.suppress(OSError):
            build_log.save()


def _identify(lock: str, interpreter: Interpreter) -> str:
    """Return the digest of an environment."""
    parts = [FORMAT, lock, interpreter.implementation, interpreter.version, interpreter.platform]
    if interpreter.is_used_as_it_is:
        parts += [interpreter.executable, sorted(interpreter.stamps.items())]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
