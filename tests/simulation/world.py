"""A simulated controller with its environment: a repository in memory, a real store, the real engine, a manual clock.

Only the machine (processes) and the source (files) are fakes. All randomness comes from one seed, so a seed always
produces the same history.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any, cast

from controller.manifests.active_deployments import ActiveDeployments
from controller.model.commits import Commit, ListedCommit
from controller.model.notifications import Message
from controller.model.snapshots import PROJECT_FILE, Code, ManifestFile, RefusedFile, Snapshot
from controller.model.status import SourceStatus
from controller.operations.context import OperationContext
from controller.operations.parameter_check import Parameters
from controller.queries.parameter_form import Forms
from controller.reconcile.reconciler import PassResult, Reconciler
from controller.runs.admission import Admission
from controller.runs.engine import Engine
from controller.runs.executors.executor import Handle
from controller.runs.executors.executor_set import ExecutorSet
from controller.runs.ids import RunIds
from controller.runs.pinned_deployments import PinnedDeployments
from controller.runs.retention import Sweeper
from controller.sources.source import Change, WatchedPath
from controller.store import Store, Transaction
from tests.conftest import ManualClock
from tests.simulation.arrivals import Inbox, Sender
from tests.simulation.cluster import ClusterExecutor
from tests.simulation.conservation import check_conservation, check_deadlines
from tests.simulation.machine import Machine, SimulatedExecutor

MAX_RUNNING = 3
MAX_WAKEUPS = 3
"""The most iterations in one turn that attempts cause."""


class Killed(BaseException):
    """The simulated controller was killed."""


class SimulatedClock(ManualClock):
    """A clock whose monotonic time passes only with the manual one."""

    def monotonic(self) -> float:
        """Return the simulated time since the start."""
        return self.elapsed()


class MemorySource:
    """A repository in memory, which keeps every revision that was observed."""

    is_pinned = True

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Any]] = {}
        self.limits: dict[str, int] = {}
        self._revisions: dict[str, tuple[tuple[ManifestFile, ...], ManifestFile]] = {}

    def observe(self) -> str:
        """Return the current revision, a digest of all files."""
        files = tuple(_file(f"deployments/{name}.json", value) for name, value in sorted(self.documents.items()))
        project = _file(PROJECT_FILE, {"queues": {name: {"limit": limit} for name, limit in self.limits.items()}})
        digest = hashlib.sha256("".join(file.digest for file in (*files, project)).encode()).hexdigest()
        self._revisions[f"main@sha1:{digest}"] = (files, project)
        return f"main@sha1:{digest}"

    def read(self, revision: str) -> Snapshot:
        """Return all manifests of this revision."""
        files, project = self._revisions[revision]
        return Snapshot(revision=revision, files=files, project=project)

    def code(self, revision: str) -> Code:  # noqa: ARG002
        """Return a source of code that is never read: all deployments are commands."""
        return _NoCode()

    def read_file(self, revision: str, path: str) -> bytes:
        """Return the content of one manifest."""
        return next(file.content for file in self._revisions[revision][0] if file.path == path)

    def read_project(self, revision: str) -> ManifestFile | RefusedFile | None:
        """Return the project file."""
        return self._revisions[revision][1]

    def checkout(self, revision: str) -> Path:  # noqa: ARG002
        """Return a path without code."""
        return Path("/nowhere/tree")

    def files_with_words(self, revision: str, words: Collection[str]) -> list[str]:  # noqa: ARG002
        return []

    def has_checkout(self, revision: str) -> bool:  # noqa: ARG002
        """Return True: every revision is available."""
        return True

    def committed_at(self, revision: str) -> None:  # noqa: ARG002
        return None

    def commits(self, revision: str, since: str | None, limit: int) -> list[ListedCommit]:  # noqa: ARG002
        return []

    def blame(self, revision: str, path: str, lines: range) -> dict[int, Commit]:  # noqa: ARG002
        return {}

    def is_descendant(self, revision: str, earlier: str) -> bool | None:  # noqa: ARG002
        """Return None for unknown."""
        return None

    def changed_files(self, revision: str, earlier: str) -> dict[str, Change] | None:  # noqa: ARG002
        """Return None for unknown."""
        return None

    def interrupt(self) -> None:
        """Do nothing: no call blocks."""

    def collect(self, find_needed: Callable[[], Collection[str]]) -> None:
        """Do nothing: every revision is kept."""

    def watched_paths(self) -> tuple[WatchedPath, ...]:
        """Return no paths."""
        return ()


class _NoCode:
    def read_ahead(self, paths: Iterable[str]) -> None:
        """Do nothing."""

    def find(self, paths: Any) -> dict[str, Any]:  # noqa: ARG002
        return {}

    def read(self, path: str) -> bytes:
        raise AssertionError(path)


class FragileStore:
    """A store with which the controller may be killed before and after each commit.

    `between` is called wherever the commit of another thread may matter: around each transaction, while one reads, and
    before the number of commits is read.
    """

    def __init__(self, store: Store, fault: Any, between: Callable[[], None] = lambda: None) -> None:
        self._store = store
        self._fault = fault
        self._between = between

    @property
    def commits(self) -> int:
        """The number of commits."""
        self._between()
        return self._store.commits

    def check(self) -> None:
        """Check the files, which are never removed in a simulation."""
        self._store.check()

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Open a write transaction, which is committed completely or not at all."""
        self._between()
        with self._store.write() as tx:
            yield tx
            self._fault()
        self._fault()
        self._between()

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """Open a read transaction."""
        self._between()
        with self._store.read() as tx:
            yield tx
            self._between()
        self._between()


class World:
    """The clock, source, store and machine, which survive restarts, and one controller at a time.

    `between` is called wherever another thread may commit. `executor` runs all flows; None: each controller picks one.
    """

    def __init__(self, seed: int, path: Path) -> None:
        self.random = Random(seed)
        self.clock = SimulatedClock()
        self.source = MemorySource()
        self.real_store = Store.open(path)
        assert self.real_store._writer is not None
        self.real_store._writer.raw_connection().cursor().execute("PRAGMA synchronous=OFF")
        self.store = cast("Store", FragileStore(self.real_store, self.fault, lambda: self.between()))
        self.machine = Machine(self.random, self.clock)
        self.inbox = Inbox(path.with_name("inbox"), self.random, self.clock)
        self.sender = Sender(self.random, self.clock)
        self.between: Callable[[], None] = lambda: None
        self.executor: str | None = None
        self.kill_chance = 0.0
        self.kills = 0
        self._ticks = 0
        self._ids = RunIds(self.random.getrandbits)
        self._path = path

    def fault(self) -> None:
        """Kill the controller with the probability `kill_chance`, by raising Killed."""
        if self.kill_chance and self.random.random() < self.kill_chance:
            raise Killed

    def boot(self) -> None:
        """Start a new controller."""
        deployments = ActiveDeployments()
        admission = Admission(self.clock, self._ids, deployments)
        parts = (self.store, self.clock, self.machine, self.fault)
        self.executors = (SimulatedExecutor(*parts), ClusterExecutor(*parts))
        self.engine = Engine(
            store=self.store,
            pinned_deployments=PinnedDeployments(self.source, self.store, None, deployments),
            clock=self.clock,
            admission=admission,
            executors=ExecutorSet(self.executors, self.executor or self.random.choice(self.executors).name),
            max_running=MAX_RUNNING,
            on_tick=self._tick,
            on_failure=lambda: None,
        )
        self.operations = OperationContext(
            store=self.store,
            clock=self.clock,
            admission=admission,
            parameters=Parameters(self.store, Forms(self.source)),
            wake=self.engine.wake,
            notify_due=self.engine.notify_due,
            request_pass=Future[PassResult],
            test_channel=lambda _: Future[Message](),
        )
        self.inbox.boot(self.store, self.operations)
        self.sender.boot(self.operations)
        self.sweeper = Sweeper(self.store, self.clock, admission, self._path.parent)
        initial = SourceStatus(
            repo="/r", ref=None, revision=None, last_attempted_revision=None, last_applied_revision=None
        )
        self.reconciler = Reconciler(
            source=self.source,
            store=self.store,
            clock=self.clock,
            initial=initial,
            deployments=deployments,
            settle=admission.settle_before_change,
            project=lambda *_: (),
        )
        self.engine._clock_monitor.repair()
        self.engine._queue.record_limit()
        self.engine._monitor.recover()

    def turn(self, *, is_tick: bool, is_due: bool = True) -> None:
        """Run an iteration of the engine, and more while attempts become ready or end.

        With `is_due`, the timetable has notified it about every deployment.
        """
        for name in self.source.documents if is_due else ():
            self.engine.notify_due(name)
        self.sender.note_time()
        self.inbox.turn()
        self.iterate(is_tick=is_tick)
        for _ in range(MAX_WAKEUPS):
            self.pass_time(timedelta(seconds=1))
            if not self.readable():
                break
            self.iterate(is_tick=False)

    def iterate(self, *, is_tick: bool) -> None:
        """Run one turn of the engine, and check that it then sleeps only if it can start nothing."""
        self.engine._wakeups.clear()
        self.engine._monitor.count_listening(1.0)
        self.engine._turn(self.readable(), is_tick=is_tick)
        if not self.readable():
            check_conservation(self.engine, self.real_store, can_decide=self.is_settled)
            if self.is_settled:
                check_deadlines(self.engine, self.real_store)

    @property
    def is_settled(self) -> bool:
        """Whether the clock has not recently been set far ahead."""
        return self.clock.elapsed() >= self.engine._clock_monitor._unsettled_until

    def readable(self) -> list[Handle]:
        return [handle for executor in self.executors for handle in executor.readable()]

    def close(self) -> None:
        """Close the store."""
        self.real_store.close()

    def _tick(self) -> None:
        self._ticks += 1
        if self._ticks % 8 == 0:
            self.sweeper.sweep()

    def pass_time(self, by: timedelta) -> None:
        """Let time pass, on the wall clock and on the monotonic clock."""
        self.clock.turn(by)


def _file(path: str, value: Any) -> ManifestFile:
    content = json.dumps(value).encode()
    return ManifestFile(path=path, content=content, digest=hashlib.sha256(path.encode() + content).hexdigest())
