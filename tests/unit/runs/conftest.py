"""Fixtures with real supervisors, real flows, and an engine. None of their processes survives its test."""

import contextlib
import json
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from controller.clock import SystemClock
from controller.manifests.active_deployments import ActiveDeployments
from controller.manifests.run_references import NO_VARIABLES, Variables
from controller.model.notifications import Message
from controller.model.python_environments import PythonRuntime
from controller.model.runs import Attempt, Run, RunState
from controller.model.status import Event, SourceStatus
from controller.operations.context import OperationContext
from controller.operations.parameter_check import Parameters
from controller.operations.trigger import trigger_run
from controller.queries.parameter_form import Forms
from controller.reconcile.reconciler import PassResult, Reconciler
from controller.runs.admission import Admission
from controller.runs.engine import Engine
from controller.runs.executors.executor import Executor
from controller.runs.executors.executor_set import ExecutorSet
from controller.runs.executors.local.executor import LocalExecutor
from controller.runs.executors.local.fork_server_client import ForkServer
from controller.runs.executors.local.interpreter import install_sdk, interpreter_command
from controller.runs.executors.local.launcher import Launch, Launcher
from controller.runs.executors.local.supervisor import flow_main
from controller.runs.executors.local.supervisor.process_tree import sweep
from controller.runs.ids import RunIds
from controller.runs.log_files import log_files
from controller.runs.pinned_deployments import PinnedDeployments
from controller.sources.directory.source import DirectorySource
from controller.sources.source import Source
from controller.store import Store, events, runs
from controller.store.run_search import RunFilter, select_all
from tests.conftest import PATIENCE_SECONDS, ManualClock, wait_until
from tests.thoroughness import THOROUGH
from tests.unit.runs.environments import make_environment

NONCE = "c0ffee"
GRACE = timedelta(seconds=0.3)
WAITS = 'echo begin; while [ ! -e "$GATE" ]; do sleep 0.05; done; echo end'
PATH = f"{Path(sys.executable).parent}:/usr/bin:/bin"


@dataclass(slots=True)
class Supervised:
    """One supervisor in a directory of its own, forked by `server` if there is one."""

    directory: Path
    server: ForkServer | None = None
    launch: Launch = field(init=False)

    def prepare(
        self,
        argv: Sequence[str],
        *,
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        call: Mapping[str, Any] | None = None,
        on_directory: Callable[[Path], None] = lambda _: None,
        **more: Any,
    ) -> None:
        self.directory.mkdir()
        on_directory(self.directory)
        spec = {
            "nonce": NONCE,
            "argv": list(argv),
            "cwd": str(cwd or self.directory),
            "env": {"PATH": PATH, **(env or {})},
            "tmp": ["/tmp"],
            "timeout": timeout,
            "grace": GRACE.total_seconds(),
            "call": call or {"parameters": {}},
            **more,
        }
        (self.directory / "run.json").write_text(json.dumps(spec), encoding="utf-8")

    def start(self) -> bool:
        """Start it; whether it says READY."""
        self.launch = self.launcher().start(self.directory, {})
        self.launch.wire.settimeout(PATIENCE_SECONDS)
        while not self.launch.is_ready:
            if not self.launch.receive():
                return False
        return True

    def launcher(self) -> Launcher:
        return Launcher(directory=self.directory, environment={}, grace=GRACE, server=self.server)

    @property
    def pid(self) -> int:
        return int((self.directory / "lock").read_bytes().split()[0])

    def say(self, word: bytes) -> None:
        self.launch.wire.sendall(word)
        self.launch.wire.close()

    def signal(self, number: int) -> None:
        assert self.launch.handle is not None
        signal.pidfd_send_signal(self.launch.handle, number)

    def wait(self) -> None:
        """Wait for its end."""
        assert self.launch.handle is not None
        assert select.select([self.launch.handle], [], [], PATIENCE_SECONDS)[0]

    def end(self) -> dict[str, Any]:
        """Wait for its end, and return what it wrote down."""
        self.wait()
        complaints = self.directory / "supervisor.log"
        assert not complaints.exists() or complaints.read_text(encoding="utf-8") == ""
        found: dict[str, Any] = json.loads((self.directory / "exit").read_bytes())
        assert found.pop("nonce") == NONCE
        assert found.pop("started_at") <= found.pop("finished_at")
        log = self.directory / "log"
        assert found.pop("log_bytes", 0) == (log.stat().st_size if log.exists() else 0)
        assert found.pop("seconds") >= 0
        return found

    def log(self) -> str:
        return (self.directory / "log").read_text(encoding="utf-8")

    def close(self) -> None:
        if self.launch.handle is not None:
            with contextlib.suppress(ProcessLookupError):
                self.signal(signal.SIGKILL)
        self.launch.terminate()
        self.launch.detach()


Supervise = Callable[..., Supervised]


def end_by_timeout(start: Callable[[float], Supervised]) -> tuple[Supervised, dict[str, Any]]:
    """Let a flow time out, and return its supervisor and how it ended.

    The timeout is longer until the flow has printed `up` before: on a busy machine, a short one may end before that.
    """
    for timeout in (0.5, 5.0, PATIENCE_SECONDS):
        one = start(timeout)
        one.say(b"GO\n")
        found = one.end()
        if (one.directory / "log").exists() and "up\n" in one.log():
            break
    return one, found


RunFlow = Callable[..., tuple[dict[str, Any], str]]


one_start = pytest.mark.parametrize("start", ["warm", "cold"] if THOROUGH else ["warm"])
"""For tests of what does not depend on how supervisors start. A thorough run tries both ways."""


@pytest.fixture(params=["warm", "cold"])
def start(request: pytest.FixtureRequest) -> str:
    """How supervisors start: everything holds for both."""
    return str(request.param)


class SharedServer(ForkServer):
    """A fork server for many tests, which an engine that stops does not stop."""

    def stop(self) -> None:
        """Release the process, if it has exited."""
        if self._process is None or self._process.poll() is not None:
            self.end()

    def end(self) -> None:
        """Stop the process."""
        super().stop()


@pytest.fixture(scope="session")
def runtime(interpreter: str, tmp_path_factory: pytest.TempPathFactory) -> PythonRuntime | None:
    """The Python environment of flows, if the option `--interpreter` names another one than that of the controller."""
    if interpreter == sys.executable:
        return None
    return make_environment(tmp_path_factory.mktemp("environments") / "other", interpreter, {})


@pytest.fixture(scope="session")
def sdk(runtime: PythonRuntime | None, tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """The copy of the SDK for that environment."""
    return None if runtime is None else install_sdk(tmp_path_factory.mktemp("sdk"))


@pytest.fixture(scope="session")
def shared_server(runtime: PythonRuntime | None, sdk: Path | None) -> Iterator[ForkServer]:
    """A fork server for many tests, with the environment that `Supervised` gives to a flow."""
    server = SharedServer({"PATH": PATH}, SystemClock(), runtime, sdk)
    server.start()

    def is_ready() -> bool:
        server.check()
        return server.is_ready

    wait_until(is_ready)
    yield server
    server.end()


@pytest.fixture
def supervise(tmp_path: Path, start: str, shared_server: ForkServer) -> Iterator[Supervise]:
    """`supervise(argv, …)` starts a supervisor and waits for READY."""
    started: list[Supervised] = []

    def make(argv: Sequence[str], **more: Any) -> Supervised:
        one = Supervised(tmp_path / f"run{len(started)}", shared_server if start == "warm" else None)
        one.prepare(argv, **more)
        assert one.start()
        started.append(one)
        return one

    yield make
    for one in started:
        one.close()


@pytest.fixture
def run_flow(tmp_path: Path, supervise: Supervise, runtime: PythonRuntime | None, sdk: Path | None) -> RunFlow:
    """`run_flow({"flows/a.py": "…"}, "flows/a.py:f", x=1)` runs a flow; returns how it ended, and its log."""

    def run(
        files: Mapping[str, str], flow: str, *, spec: Mapping[str, Any] | None = None, **parameters: Any
    ) -> tuple[dict[str, Any], str]:
        root = tmp_path / "code"
        for path, text in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8")
        path, _, name = flow.partition(":")
        call: dict[str, Any] = {
            "root": str(root),
            "path": path,
            "name": name or None,
            "parameters": parameters,
            "pycache": None,
        }
        call["sdk"] = sdk and str(sdk)
        one = supervise([*interpreter_command(runtime), flow_main.__file__], cwd=root, call=call, **(spec or {}))
        one.say(b"GO\n")
        return one.end(), one.log()

    return run


@dataclass(slots=True)
class World:
    """A followed directory with its state, and one engine at a time.

    Supervisors start cold, or `is_warm`: from the fork server `shared`, or else from one that each engine starts.
    """

    root: Path
    state: Path
    store: Store
    clock: ManualClock
    source: Source
    is_warm: bool = False
    shared: ForkServer | None = None
    engine: Engine | None = None
    server: ForkServer | None = None
    failures: list[str] = field(default_factory=list)
    ids: RunIds = field(default_factory=RunIds)
    deployments: ActiveDeployments = field(default_factory=ActiveDeployments)
    variables: Variables = NO_VARIABLES

    @property
    def admission(self) -> Admission:
        return Admission(self.clock, self.ids, self.deployments, self.variables)

    @property
    def operations(self) -> OperationContext:
        return OperationContext(
            store=self.store,
            clock=self.clock,
            admission=self.admission,
            parameters=Parameters(self.store, Forms(self.source)),
            wake=(lambda: None) if self.engine is None else self.engine.wake,
            notify_due=(lambda _: None) if self.engine is None else self.engine.notify_due,
            request_pass=Future[PassResult],
            test_channel=lambda _: Future[Message](),
        )

    @property
    def runs_directory(self) -> Path:
        return self.state / "runs"

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text, encoding="utf-8")

    def declare(self, **documents: str | None) -> None:
        """Write `deployments/<name>.yaml`, or delete it with None, and bring everything into force."""
        for name, text in documents.items():
            if text is None:
                (self.root / f"deployments/{name}.yaml").unlink()
            else:
                self.write(f"deployments/{name}.yaml", text)
        nobody = SourceStatus(
            repo="/r", ref=None, revision=None, last_attempted_revision=None, last_applied_revision=None
        )
        reconciler = Reconciler(
            source=self.source,
            store=self.store,
            clock=self.clock,
            initial=nobody,
            deployments=self.deployments,
            settle=self.admission.settle_before_change,
            project=lambda *_: (),
        )
        result = reconciler.run_pass()
        assert result.status.findings == ()

    def start(
        self,
        *,
        max_running: int = 4,
        base: Mapping[str, str] | None = None,
        remote: Executor | None = None,
        **more: Any,
    ) -> Engine:
        """Start an engine, as a controller does. `base`: more of the environment that flows begin with.

        `remote`: the executor of flows that name none.
        """
        assert self.engine is None
        environment = {"PATH": PATH, **(base or {})}
        shared = None if base else self.shared
        server = (shared or ForkServer(environment, self.clock)) if self.is_warm else None
        self.server = server
        launcher = Launcher(directory=self.runs_directory, environment=environment, grace=GRACE, server=server, **more)
        self.engine = Engine(
            store=self.store,
            pinned_deployments=PinnedDeployments(self.source, self.store, None, self.deployments),
            clock=self.clock,
            admission=self.admission,
            executors=ExecutorSet([*([remote] if remote else []), LocalExecutor(launcher)]),
            max_running=max_running,
            on_tick=lambda: None,
            on_failure=lambda: self.failures.append("failed"),
        )
        self.engine.start()
        return self.engine

    def stop(self) -> None:
        if self.engine is not None:
            self.engine.stop()
            assert self.engine.failure is None
            self.engine = None

    def trigger(self, name: str, key: str | None = None, **parameters: Any) -> Run:
        assert self.engine is not None
        return trigger_run(self.operations, name, parameters, key=key, author="somebody")

    def all_runs(self) -> list[Run]:
        """All runs, oldest first."""
        with self.store.read() as tx:
            return select_all(tx, RunFilter())[::-1]

    def find(self, run: Run) -> Run:
        with self.store.read() as tx:
            found = runs.find(tx, run.id)
        assert found is not None
        return found

    def wait(self, run: Run, state: RunState | None = None) -> Run:
        """Wait until the run is in this state, or final."""
        wait_until(lambda: self.find(run).state is state if state else self.find(run).state.is_terminal)
        return self.find(run)

    def run(self, name: str, **parameters: Any) -> Run:
        """Trigger, and wait for the end."""
        return self.wait(self.trigger(name, **parameters))

    def log(self, run: Run) -> str:
        return "".join(path.read_text(encoding="utf-8") for path in log_files(self.runs_directory, run.id))

    def events(self) -> list[Event]:
        with self.store.read() as tx:
            return events.latest(tx, 1000)[::-1]

    def supervisor_pid(self, run: Run) -> int:
        [lock] = (self.runs_directory / run.id).glob("*/lock")
        return int(lock.read_text(encoding="utf-8").split()[0])


def reap(pid: int) -> None:
    """Wait for a supervisor that this process started and an engine has released."""
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        return


@pytest.fixture
def world(
    request: pytest.FixtureRequest, tmp_path: Path, store: Store, clock: ManualClock, start: str
) -> Iterator[World]:
    root = tmp_path / "code"
    (root / "deployments").mkdir(parents=True)
    state = tmp_path / "state"
    (state / "runs").mkdir(parents=True)
    source = DirectorySource(root, path="deployments")
    made = World(root, state, store, clock, source, is_warm=start == "warm")
    if made.is_warm and request.getfixturevalue("runtime") is None:
        made.shared = request.getfixturevalue("shared_server")
    yield made
    try:
        made.stop()
    finally:
        found = made.runs_directory.stat()
        for directory in made.runs_directory.glob("*/*-*"):
            sweep(f"{directory.name.partition('-')[2]}-{found.st_dev:x}-{found.st_ino:x}")
    assert made.failures == []


@pytest.fixture
def own_server(world: World) -> None:
    """Let each engine of this test start a fork server of its own, as a controller does."""
    world.shared = None


def command(name: str, script: str, extra: str = "") -> str:
    return f"name: {name}\ncommand: [sh, -c, {script!r}]\n{extra}"


def gated(world: World, extra: str = "") -> Path:
    """Declare `slow`, which runs until the returned file exists."""
    gate = world.state / "gate"
    world.declare(slow=f"name: slow\ncommand: [sh, -c, '{WAITS}']\nenv: {{GATE: '{gate}'}}\n{extra}")
    return gate


def attempts(world: World, run: Run) -> list[Attempt]:
    with world.store.read() as tx:
        return runs.attempts_of(tx, run.id)
