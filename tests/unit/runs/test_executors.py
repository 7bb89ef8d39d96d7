"""The promises of executors to the monitor, with real flows: every executor passes the same tests.

An `Installation` is where the attempts of one executor run. It creates the executor again, as a restarted controller
does.
"""

import contextlib
import os
import selectors
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import pytest

from controller.clock import SystemClock
from controller.model.runs import Attempt, Run, RunOutcome, RunState, Trigger
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
from controller.runs.ids import RunIds, new_nonce
from controller.settings import boot_id
from controller.store import Store, run_transitions, runs
from tests.conftest import NOW, PATIENCE_SECONDS, wait_until
from tests.process_engine import ProcessEngine
from tests.remote_parts import AdvancedClock, RemoteController, free_port
from tests.unit.runs.conftest import GRACE, PATH
from tests.unit.runs.environments import deployment_of
from tests.unit.runs.test_supervisor import is_gone

pytestmark = pytest.mark.integration

WAITS = (
    'echo began | tee -a "$MARKS"; echo $$ > "$PID"; while [ ! -e "$GATE" ]; do sleep 0.02; done; exit $(cat "$GATE")'
)


local_only = pytest.mark.parametrize("kind", ["warm", "cold"])
"""For promises that only local attempts need: their directory and their host say more than a cluster can."""

remote_only = pytest.mark.parametrize("kind", ["process"])


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
        executor.open()
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
        run = Run(
            id=RunIds().new(NOW),
            deployment="a",
            file="a.yaml",
            state=RunState.LAUNCHING,
            trigger=Trigger.MANUAL,
            created_at=NOW,
            attempt=1,
            revision="r",
            spec_digest="d",
        )
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


@pytest.fixture(params=["warm", "cold", "process"])
def kind(request: pytest.FixtureRequest) -> str:
    """The executors: the local one with its two ways to start, and a remote one."""
    return str(request.param)


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> Iterator[Place]:
    """A place for each executor."""
    directory = tmp_path / "place"
    (directory / "code").mkdir(parents=True)
    if kind == "process":
        installation: Installation = RemoteInstallation(tmp_path, request.getfixturevalue("store"))
    else:
        installation = LocalInstallation(tmp_path / "runs", kind)
    made = Place(installation, directory)
    made.restart()
    yield made
    made.open_gate()
    for handle in made.handles:
        with contextlib.suppress(AssertionError):
            if handle.phase is not Phase.AWAITING_END:
                handle.abandon()
        wait_until_ended(handle)
        handle.release()
    for executor in made.executors:
        executor.close()
    made.installation.close()


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


def test_there_is_capacity_for_launches(place: Place) -> None:
    assert place.executor.capacity() > 0
    assert place.executor.ready_seconds > 0


def test_a_flow_starts_only_after_go(place: Place) -> None:
    handle = place.launch()
    assert phase_of(handle) is Phase.STARTING
    wait_until_ready(handle)
    assert handle.read_status() == Alive(started=False)
    assert place.starts == 0
    send_go(handle)
    assert phase_of(handle) is Phase.AWAITING_END
    place.open_gate()
    assert outcome_of(handle).state is RunState.SUCCEEDED
    assert place.starts == 1


def test_the_outcome_has_the_exit_code_of_the_flow(place: Place) -> None:
    handle = place.start()
    place.open_gate(exit_code=3)
    found = outcome_of(handle)
    assert (found.state, found.exit_code, found.reason) == (RunState.FAILED, 3, "exit code 3")


def test_the_output_of_a_flow_is_in_the_directory_of_its_attempt(place: Place) -> None:
    handle = place.start()
    place.open_gate(exit_code=3)
    outcome_of(handle)
    assert {"started", "exit"} <= {path.name for path in handle.directory.iterdir()}
    assert (handle.directory / "log").read_text(encoding="utf-8") == "began\n"


@pytest.mark.parametrize("is_ready", [False, True])
def test_an_abandoned_attempt_never_starts_its_flow(place: Place, is_ready: bool) -> None:
    handle = place.launch()
    if is_ready:
        wait_until_ready(handle)
    handle.abandon()
    assert phase_of(handle) is Phase.AWAITING_END
    assert wait_until_ended(handle) == NotStarted()
    assert handle.why_uncertain() is None
    assert place.starts == 0


@local_only
def test_without_go_no_flow_starts_after_the_controller_ends(place: Place) -> None:
    handle = place.launch()
    wait_until_ready(handle)
    place.restart()
    assert wait_until_ended(place.adopt(handle)) == NotStarted()
    assert place.starts == 0


@remote_only
def test_a_job_that_waits_for_go_gets_it_from_the_next_controller(place: Place) -> None:
    handle = place.launch()
    wait_until_ready(handle)
    place.restart()
    assert place.starts == 0
    adopted = place.adopt(handle)
    wait_until_ready(adopted)
    send_go(adopted)
    place.open_gate()
    assert outcome_of(adopted).state is RunState.SUCCEEDED
    assert place.starts == 1


def test_after_go_a_flow_outlives_its_controller_and_is_adopted(place: Place) -> None:
    handle = place.start()
    place.restart()
    adopted = place.adopt(handle)
    assert adopted.phase is Phase.AWAITING_END
    assert isinstance(adopted.read_status(), Alive)
    assert not is_gone(place.flow_pid)
    place.open_gate()
    assert outcome_of(adopted).state is RunState.SUCCEEDED
    assert place.starts == 1


@local_only
def test_an_attempt_that_has_started_is_recognized_although_its_record_says_launching(place: Place) -> None:
    handle = place.start()
    handle.run = replace(handle.run, state=RunState.LAUNCHING, started_at=None)
    place.restart()
    assert place.adopt(handle).read_status() == Alive(started=True)


def test_the_outcome_of_a_flow_that_ended_without_a_controller_is_found(place: Place) -> None:
    handle = place.start()
    pid = place.flow_pid
    place.restart()
    place.open_gate(exit_code=4)
    wait_until(lambda: is_gone(pid))
    assert outcome_of(place.adopt(handle)).exit_code == 4


@pytest.mark.parametrize("is_adopted", [False, True])
def test_stop_requests_cancel_the_flow_and_can_be_repeated(place: Place, is_adopted: bool) -> None:
    handle = place.start()
    if is_adopted:
        place.restart()
        handle = place.adopt(handle)
        assert isinstance(handle.read_status(), Alive)
    for _ in range(3):
        handle.request_stop()
    assert outcome_of(handle).state is RunState.CANCELLED
    handle.request_stop()
    assert outcome_of(handle).state is RunState.CANCELLED


@pytest.mark.parametrize("is_adopted", [False, True])
def test_a_lost_attempt_has_crashed_and_nothing_of_it_is_left(place: Place, is_adopted: bool) -> None:
    handle = place.start()
    if is_adopted:
        place.restart()
        handle = place.adopt(handle)
        assert isinstance(handle.read_status(), Alive)
    place.installation.lose(handle)
    found = outcome_of(handle)
    assert found.state is RunState.CRASHED
    assert found.reason is not None
    assert found.reason.startswith("outcome unknown: ")
    handle.clean_up(found)
    wait_until(lambda: is_gone(place.flow_pid))


@local_only
def test_an_attempt_lost_before_go_has_not_started_and_counts_as_a_failed_launch(place: Place) -> None:
    handle = place.launch()
    wait_until_ready(handle)
    place.installation.lose(handle)
    wait_until(lambda: not handle.receive())
    assert handle.lacking is None
    handle.abandon()
    found = wait_until_ended(handle)
    assert found == NotStarted()
    handle.clean_up(NotStarted())
    assert place.starts == 0


@local_only
def test_an_attempt_that_ends_between_ready_and_go_ended_on_its_own(place: Place) -> None:
    handle = place.launch()
    wait_until_ready(handle)
    place.installation.lose(handle)
    send_go(handle)
    assert wait_until_ended(handle) == NotStarted()
    assert handle.ended_on_its_own
    assert place.starts == 0


@local_only
def test_it_is_uncertain_whether_an_attempt_without_any_trace_has_run(place: Place) -> None:
    handle = place.launch()
    handle.abandon()
    unknown = place.adopt(replace_nonce(handle))
    assert unknown.read_status() == NotStarted()
    assert unknown.why_uncertain() is not None


def replace_nonce(handle: Handle) -> Handle:
    """Return the handle, as that of another attempt of its run that was claimed and never launched."""
    handle.attempt = replace(handle.attempt, nonce=new_nonce())
    return handle


@local_only
def test_attempts_of_an_earlier_boot_cannot_be_proven_not_to_have_run(place: Place) -> None:
    handle = place.launch()
    handle.abandon()
    handle.attempt = replace(handle.attempt, boot_id="earlier")
    found = place.adopt(handle)
    assert found.read_status() == NotStarted()
    assert found.why_uncertain() == "the machine was restarted while the run was being launched"


@local_only
def test_an_attempt_in_another_place_is_adopted_only_if_it_cannot_be_running(place: Place) -> None:
    handle = place.launch()
    handle.abandon()
    elsewhere = replace(handle.attempt, place="elsewhere:/runs")
    assert place.executor.adopt(replace(handle.run, state=RunState.RUNNING, started_at=NOW), elsewhere) is None
    adopted = place.executor.adopt(handle.run, elsewhere)
    assert adopted is not None
    assert wait_until_ended(adopted) == NotStarted()


def test_closing_the_executor_ends_no_flow_and_launches_open_it_again(place: Place) -> None:
    first = place.start()
    place.executor.close()
    assert not is_gone(place.flow_pid)
    second = place.launch()
    wait_until_ready(second)
    send_go(second)
    place.open_gate()
    assert {outcome_of(handle).state for handle in (first, second)} == {RunState.SUCCEEDED}
    assert place.starts == 2


def test_maintenance_does_not_disturb_attempts(place: Place) -> None:
    handle = place.start()
    place.executor.maintain()
    place.open_gate()
    assert outcome_of(handle).state is RunState.SUCCEEDED


def wait_readable(handle: Handle, check: Callable[[], bool]) -> None:
    """Wait with a selector until the check succeeds, as the engine does."""
    descriptor = handle.fileno()
    assert descriptor is not None
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while not check():
            assert selector.select(PATIENCE_SECONDS)


def test_the_descriptor_becomes_readable_when_an_attempt_is_ready_and_when_it_ends(place: Place) -> None:
    handle = place.launch()
    wait_readable(handle, lambda: handle.receive() and handle.phase is Phase.READY)
    send_go(handle)
    place.open_gate()
    wait_readable(handle, lambda: not isinstance(handle.read_status(), Alive))
    assert outcome_of(handle).state is RunState.SUCCEEDED


@local_only
def test_an_adopted_attempt_has_a_descriptor_once_its_status_was_read(place: Place) -> None:
    handle = place.start()
    place.restart()
    adopted = place.adopt(handle)
    assert adopted.fileno() is None
    assert isinstance(adopted.read_status(), Alive)
    place.open_gate()
    wait_readable(adopted, lambda: not isinstance(adopted.read_status(), Alive))
