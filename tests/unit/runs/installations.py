"""An `Installation` is where the attempts of one executor run; a `Place` is an executor with a flow that waits.

Used by `test_executors`.
"""

import os
import selectors
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from controller.clock import SystemClock
from controller.model.runs import Attempt, Run, RunOutcome, RunState
from controller.runs.executors.executor import (
    Alive,
    AttemptStatus,
    Executor,
    Handle,
    Launchable,
    NotStarted,
    Phase,
    Uncertain,
)
from controller.runs.executors.local.executor import LocalExecutor
from controller.runs.executors.local.fork_server_client import ForkServer
from controller.runs.executors.local.launcher import Launcher
from controller.runs.executors.remote.executor import RemoteExecutor
from controller.runs.ids import new_nonce
from controller.settings import boot_id
from controller.store import Store, run_transitions, runs
from tests.conftest import NOW, PATIENCE_SECONDS, wait_until
from tests.process_engine import ProcessEngine
from tests.remote_parts import AdvancedClock, RemoteController, free_port
from tests.unit.runs.conftest import GRACE, PATH
from tests.unit.runs.environments import deployment_of, launching_run

WAITS = (
    'echo began | tee -a "$MARKS"; echo $$ > "$PID"; while [ ! -e "$GATE" ]; do sleep 0.02; done; exit $(cat "$GATE")'
)


class Installation(Protocol):
    """Where the attempts of one executor run."""

    def record(self, run: Run, attempt: Attempt) -> None:
        """Record the claim of an attempt, as the monitor does before the launch."""

    def create(self) -> Executor:
        """Create an executor, as the first or the next controller does."""

    def lose(self, handle: Handle) -> None:
        """Kill what runs this attempt, as a failing machine does."""

    def close(self) -> None:
        """Stop what outlives the executors."""


class LocalInstallation:
    """This machine, with supervisors that start `warm` or `cold`."""

    def __init__(self, directory: Path, start: str) -> None:
        self._directory = directory
        self._directory.mkdir()
        self._start = start

    def create(self) -> LocalExecutor:
        """Create an executor. Its fork server has started when it returns."""
        environment = {"PATH": PATH}
        server = ForkServer(environment, SystemClock()) if self._start == "warm" else None
        executor = LocalExecutor(
            Launcher(
                directory=self._directory,
                environment=environment,
                grace=GRACE,
                server=server,
                place=f"here:{self._directory}",
            )
        )
        executor.open(lambda: None)
        if server is not None:
            wait_until(lambda: _is_ready(server))
        return executor

    def record(self, run: Run, attempt: Attempt) -> None:
        """Do nothing: this executor reads no records."""

    def lose(self, handle: Handle) -> None:
        """Kill the supervisor."""
        os.kill(int((handle.directory / "lock").read_bytes().split()[0]), signal.SIGKILL)

    def close(self) -> None:
        """Do nothing: the executors own the fork servers."""


def _is_ready(server: ForkServer) -> bool:
    server.check()
    return server.is_ready


class RemoteInstallation:
    """A cluster, with the node API of one controller after the other."""

    def __init__(self, directory: Path, store: Store) -> None:
        self._clock = AdvancedClock()
        self._engine = ProcessEngine(directory / "cluster", PATH)
        self._store = store
        self._controller = RemoteController(
            directory / "state", store, self._clock, self._engine, port=free_port(), grace=GRACE
        )
        self._executor: RemoteExecutor | None = None
        self._is_lost = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._maintain)
        self._thread.start()

    def create(self) -> RemoteExecutor:
        """Create an executor, with the node API."""
        self._controller.close()
        self._executor = self._controller.open()
        return self._executor

    def record(self, run: Run, attempt: Attempt) -> None:
        """Store the claim: runners that ask while no controller runs the attempt wait for the next one."""
        with self._store.write() as tx:
            runs.insert_all(tx, [replace(run, state=RunState.PENDING, attempt=0)])
            run_transitions.claim(tx, [attempt])

    def lose(self, handle: Handle) -> None:
        """Kill all processes of the node, and let the time pass that it takes to be sure."""
        assert handle.attempt.job_id is not None
        self._engine.lose_job(handle.attempt.job_id)
        self._is_lost = True

    def close(self) -> None:
        """Kill what still runs in the cluster."""
        self._stopping.set()
        self._thread.join()
        self._controller.close()
        self._engine.close()

    def _maintain(self) -> None:
        """Do the periodic work of the executor, as the engine does."""
        while not self._stopping.wait(0.1):
            if self._is_lost:
                self._clock.advance += 5
            if self._executor is not None:
                self._executor.maintain()


@dataclass(slots=True)
class Place:
    """An executor, and a deployment whose flow runs until the file `gate` exists, which contains its exit code."""

    installation: Installation
    directory: Path
    executor: Executor = field(init=False)
    executors: list[Executor] = field(default_factory=list)
    handles: list[Handle] = field(default_factory=list)

    def restart(self) -> None:
        """Replace the executor, as a restart of the controller does."""
        for handle in self.handles:
            handle.release()
        self.handles.clear()
        for executor in self.executors:
            executor.close()
        self.executor = self.installation.create()
        self.executors.append(self.executor)

    def launch(self) -> Handle:
        run = launching_run()
        nonce = new_nonce()
        state = RunState.LAUNCHING
        attempt = Attempt(run_id=run.id, number=1, nonce=nonce, boot_id=boot_id(), state=state)
        names = {"MARKS": self.marks, "PID": self.pid_file, "GATE": self.gate}
        env = {name: str(path) for name, path in names.items()}
        deployment = deployment_of(["sh", "-c", WAITS], env=env, timeout=timedelta(seconds=PATIENCE_SECONDS))
        launchable = Launchable(run=run, deployment=deployment, root=self.code, pycache=None)
        attempt = self.executor.describe(launchable, attempt)
        self.installation.record(run, attempt)
        return self.add(self.executor.launch(launchable, attempt))

    def adopt(self, handle: Handle) -> Handle:
        """Return a new handle of the same attempt."""
        adopted = self.executor.adopt(handle.run, handle.attempt)
        assert adopted is not None
        return self.add(adopted)

    def add(self, handle: Handle) -> Handle:
        self.handles.append(handle)
        return handle

    def start(self) -> Handle:
        """Launch an attempt, send GO and wait until its flow runs."""
        handle = self.launch()
        wait_until_ready(handle)
        send_go(handle)
        wait_until(lambda: self.pid_file.exists() and self.pid_file.read_text(encoding="utf-8").endswith("\n"))
        return handle

    def open_gate(self, exit_code: int = 0) -> None:
        part = self.gate.with_suffix(".part")
        part.write_text(str(exit_code), encoding="utf-8")
        part.rename(self.gate)

    @property
    def code(self) -> Path:
        return self.directory / "code"

    @property
    def marks(self) -> Path:
        return self.directory / "marks"

    @property
    def pid_file(self) -> Path:
        return self.directory / "pid"

    @property
    def gate(self) -> Path:
        return self.directory / "gate"

    @property
    def flow_pid(self) -> int:
        return int(self.pid_file.read_text(encoding="utf-8"))

    @property
    def starts(self) -> int:
        """How often the flow was started."""
        return len(self.marks.read_text(encoding="utf-8").splitlines()) if self.marks.exists() else 0


def phase_of(handle: Handle) -> Phase:
    return handle.phase


def wait_until_ready(handle: Handle) -> None:
    def is_ready() -> bool:
        assert handle.receive()
        return handle.phase is Phase.READY

    wait_until(is_ready)


def send_go(handle: Handle) -> None:
    """Send GO as the monitor does: the run is `running` before."""
    handle.run = replace(handle.run, state=RunState.RUNNING, started_at=NOW)
    handle.send_go()


def wait_until_ended(handle: Handle) -> RunOutcome | NotStarted:
    found: list[AttemptStatus] = []

    def has_ended() -> bool:
        found.append(handle.read_status())
        return not isinstance(found[-1], Alive | Uncertain)

    wait_until(has_ended)
    assert not isinstance(found[-1], Alive | Uncertain)
    return found[-1]


def outcome_of(handle: Handle) -> RunOutcome:
    status = wait_until_ended(handle)
    assert isinstance(status, RunOutcome)
    return status


def replace_nonce(handle: Handle) -> Handle:
    """Return the handle, as that of another attempt of its run that was claimed and never launched."""
    handle.attempt = replace(handle.attempt, nonce=new_nonce())
    return handle


def wait_readable(handle: Handle, check: Callable[[], bool]) -> None:
    """Wait with a selector until the check succeeds, as the engine does."""
    descriptor = handle.fileno()
    assert descriptor is not None
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while not check():
            assert selector.select(PATIENCE_SECONDS)
