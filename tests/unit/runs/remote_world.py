"""A remote executor with a cluster in memory, and a clock that changes only when a test changes it."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from controller.model.deployments import Deployment
from controller.model.runs import Attempt, Run, RunOutcome, RunState, Trigger
from controller.runs.executors.executor import Launchable, NotStarted, Phase
from controller.runs.executors.remote.attempt_records import AttemptRecords
from controller.runs.executors.remote.executor import RemoteExecutor, RemoteSettings
from controller.runs.executors.remote.handle import RemoteHandle
from controller.runs.executors.remote.job_engine import (
    EngineUnreachableError,
    Job,
    JobList,
    JobPhase,
    JobRefusedError,
    JobStatus,
)
from controller.runs.executors.remote.node_desk import NodeDesk
from controller.runs.executors.remote.packages import CodePackages
from controller.runs.executors.remote.seat import NodeRequest
from controller.runs.ids import RunIds, new_nonce
from controller.store import Store, run_transitions, runs
from tests.conftest import NOW, ManualClock, wait_until
from tests.unit.runs.environments import deployment_of

ONE, OTHER = "1" * 32, "2" * 32
GRACE = timedelta(seconds=10)


class StandingClock(ManualClock):
    """A clock whose monotonic time is set by a test, too."""

    def monotonic(self) -> float:
        return self.elapsed()

    def pass_seconds(self, seconds: float) -> None:
        self.turn(timedelta(seconds=seconds))


class MemoryCluster:
    """A `JobEngine` that keeps its jobs in memory. `calls` are the changes that were requested."""

    name = "ray"

    def __init__(self) -> None:
        self.session = "session-1"
        self.jobs: dict[str, Job] = {}
        self.statuses: dict[str, JobStatus] = {}
        self.calls: list[tuple[str, str]] = []
        self.listings = 0
        self.is_reachable = True
        self.refusal: str | None = None
        self.held = threading.Event()
        self.held.set()

    def submit(self, job: Job) -> str:
        self.held.wait()
        self._reach()
        if self.refusal is not None:
            raise JobRefusedError(self.refusal)
        self.calls.append(("submit", job.job_id))
        self.jobs[job.job_id] = job
        self.statuses.setdefault(job.job_id, JobStatus(phase=JobPhase.WAITING))
        return self.session

    def list_jobs(self) -> JobList:
        self.listings += 1
        self._reach()
        return JobList(session=self.session, jobs=dict(self.statuses))

    def stop(self, job_id: str) -> None:
        self._reach()
        self.calls.append(("stop", job_id))

    def forget(self, job_id: str) -> None:
        self._reach()
        self.calls.append(("forget", job_id))
        self.statuses.pop(job_id, None)

    def say(self, job_id: str, phase: JobPhase, message: str | None = None, *, has_expired: bool = False) -> None:
        """Let a job have this status from now on."""
        self.statuses[job_id] = JobStatus(phase=phase, message=message, has_expired=has_expired)

    def lose_all(self) -> None:
        """Start again without any memory."""
        self.session = "session-2"
        self.statuses.clear()

    def _reach(self) -> None:
        if not self.is_reachable:
            raise EngineUnreachableError("connection refused")


@dataclass(slots=True)
class RemoteWorld:
    """One controller after another, with the same cluster, state and clock. `secrets` are in its environment."""

    store: Store
    directory: Path
    clock: StandingClock = field(default_factory=StandingClock)
    cluster: MemoryCluster = field(default_factory=MemoryCluster)
    secrets: dict[str, str] = field(default_factory=dict)
    node_secret: bytes | None = None
    lost_after: timedelta | None = timedelta(hours=1)
    max_waiting: int | None = None
    desk: NodeDesk = field(init=False)
    executor: RemoteExecutor = field(init=False)
    handles: list[RemoteHandle] = field(default_factory=list)
    tickets: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.directory / "runs").mkdir()
        root = self.directory / "tree"
        root.mkdir()
        (root / "flow.py").write_text("def flow():\n    pass\n", encoding="utf-8")
        self.restart()

    def restart(self) -> None:
        """Create the parts of the next controller."""
        self.release()
        records = AttemptRecords(self.store, self.clock)
        packages = CodePackages(self.directory / "packages")
        self.desk = NodeDesk(
            records,
            packages,
            self.clock,
            runs_directory=self.directory / "runs",
            read_secrets=self._read_secrets,
            node_secret=self.node_secret,
        )
        self.executor = RemoteExecutor(
            self.cluster,
            self.desk,
            packages,
            records,
            self.clock,
            RemoteSettings(
                directory=self.directory / "runs",
                node_url="http://controller:4200",
                grace=GRACE,
                lost_after=self.lost_after,
                max_waiting=self.max_waiting,
            ),
        )

    def release(self) -> None:
        """Stop the controller; the runs continue."""
        for handle in self.handles:
            handle.release()
        if self.handles:
            self.executor.close()
        self.handles.clear()

    def claim(self, deployment: Deployment | None = None) -> tuple[Launchable, Attempt]:
        """Record a run and an attempt as the monitor does before the launch."""
        deployment = deployment or deployment_of(["true"])
        run = Run(
            id=RunIds().new(NOW),
            deployment="a",
            file="a.yaml",
            state=RunState.PENDING,
            trigger=Trigger.MANUAL,
            created_at=NOW,
            revision="r",
            spec_digest="d",
            parameters={"region": "eu"},
        )
        attempt = Attempt(
            run_id=run.id, number=1, nonce=new_nonce(), boot_id="b", state=RunState.LAUNCHING, executor="ray"
        )
        launchable = Launchable(
            run=run, deployment=deployment, root=self.directory / "tree", pycache=self.directory / "c", executor="ray"
        )
        attempt = self.executor.describe(launchable, attempt)
        with self.store.write() as tx:
            runs.insert_all(tx, [run])
            run_transitions.claim(tx, [attempt])
        return replace(launchable, run=replace(run, state=RunState.LAUNCHING, attempt=1)), attempt

    def launch(self, deployment: Deployment | None = None) -> RemoteHandle:
        """Claim and launch an attempt, and wait until its job is submitted."""
        handle = self.launch_only(deployment)
        wait_until(lambda: handle.tracked.submitted_at is not None)
        self.tickets[handle.tracked.job_id] = self.cluster.jobs[handle.tracked.job_id].variables["CONTROLLER_TICKET"]
        return handle

    def launch_only(self, deployment: Deployment | None = None) -> RemoteHandle:
        """Claim and launch an attempt."""
        handle = self.executor.launch(*self.claim(deployment))
        self.handles.append(handle)
        return handle

    def adopt(self, handle: RemoteHandle) -> RemoteHandle:
        """Return the handle of the same attempt for the current controller, from its record."""
        with self.store.read() as tx:
            run = runs.find(tx, handle.run.id)
            attempts = runs.attempts_of(tx, handle.run.id)
        assert run is not None
        adopted = self.executor.adopt(run, attempts[-1])
        assert adopted is not None
        self.handles.append(adopted)
        return adopted

    def ask(self, handle: RemoteHandle, instance: str = ONE) -> NodeRequest:
        """Return who sends a request of this attempt."""
        job_id = handle.tracked.job_id
        return NodeRequest(job_id=job_id, ticket=self.tickets[job_id], instance=instance)

    def allow(self, handle: RemoteHandle) -> None:
        """Record the attempt as running and send GO, as the monitor does for one that is ready."""
        assert handle.phase is Phase.READY
        with self.store.write() as tx:
            run_transitions.start(tx, [handle.attempt], self.clock.now())
        handle.run = replace(handle.run, state=RunState.RUNNING, started_at=self.clock.now())
        handle.send_go()

    def start(self, deployment: Deployment | None = None) -> RemoteHandle:
        """Launch an attempt, and let its runner start the flow."""
        handle = self.launch(deployment)
        self.cluster.say(handle.tracked.job_id, JobPhase.RUNNING)
        future = self.desk.start(self.ask(handle), node="node-1", proof=None)
        assert handle.receive()
        self.allow(handle)
        future.result(0)
        return handle

    def finish(self, handle: RemoteHandle) -> None:
        """Record the outcome of an attempt and release its handle, as the monitor does."""
        status = handle.read_status()
        assert isinstance(status, RunOutcome), status
        handle.clean_up(status)
        with self.store.write() as tx:
            run_transitions.end(tx, [(handle.run, status)])
        handle.release()
        self.handles.remove(handle)

    def finish_without_start(self, handle: RemoteHandle) -> None:
        """Queue a run again whose flow was not started, as the monitor does."""
        status = handle.read_status()
        assert status == NotStarted()
        handle.clean_up(NotStarted())
        with self.store.write() as tx:
            runs.move(tx, handle.run.id, expect=RunState.LAUNCHING, to=RunState.PENDING)
        handle.release()
        self.handles.remove(handle)

    def look(self) -> None:
        """Ask the cluster about its jobs, and wait for the answer."""
        before = self.cluster.listings
        self.executor.maintain()
        wait_until(lambda: self.cluster.listings > before and not self.executor._tracker._is_listing)

    def ending_of(self, handle: RemoteHandle, **more: object) -> dict[str, object]:
        """Return the report of a flow that succeeded."""
        return {"nonce": handle.attempt.nonce, "outcome": "succeeded", "exit_code": 0, **more}

    def _read_secrets(self, places: Mapping[str, Mapping[str, str]]) -> dict[str, str | None]:
        return {name: self.secrets.get(place.get("env", "")) for name, place in places.items()}
