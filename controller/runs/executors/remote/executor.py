"""The executor of flows on a cluster: each attempt is a job, whose runner reports over the node API.

Created by `app`, used by the monitor. The job engine is asked on threads of its own, so that nothing here blocks.
"""

import hashlib
import hmac
import logging
import math
import secrets
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from controller.clock import Clock
from controller.errors import ControllerError, shortage
from controller.model.deployments import Deployment
from controller.model.runs import Attempt, Run, RunState
from controller.records import dataclass
from controller.runs.executors.attempt_files import attempt_directory, exit_outcome, read_mark
from controller.runs.executors.executor import Launchable, Phase, Readiness
from controller.runs.executors.node.bootstrap import job_argv
from controller.runs.executors.remote.attempt_records import AttemptRecords, job_id_of
from controller.runs.executors.remote.handle import RemoteHandle, RemoteParts
from controller.runs.executors.remote.job_engine import Job, JobEngine, JobResources
from controller.runs.executors.remote.job_tracker import JobTracker, TrackedJob
from controller.runs.executors.remote.node_desk import NodeDesk
from controller.runs.executors.remote.order import make_order, read_order, read_python, write_order
from controller.runs.executors.remote.packages import CodePackages
from controller.runs.executors.remote.seat import LATER_BEAT_SECONDS, Seat, Stage, hash_ticket
from controller.runs.wake_signal import WakeSignal

log = logging.getLogger(__name__)

LOST_AFTER = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteSettings:
    """The settings of a remote executor.

    - `directory`: of the runs. `node_url`: where nodes reach the node API.
    - `run_variables`: further variables of the flow of a run.
    - `max_waiting`: how many jobs may wait for free nodes at once; None: any number.
    - `is_pinned`: flows run from commits. `allows_source_builds`: nodes may build packages that have no wheel.
    - `lost_after`: after how long without an answer of the cluster an attempt is given up; None: never.
    """

    directory: Path
    node_url: str
    grace: timedelta
    lost_after: timedelta | None = LOST_AFTER
    max_waiting: int | None = None
    is_pinned: bool = True
    allows_source_builds: bool = False
    run_variables: Callable[[Run], Mapping[str, str]] = field(default=lambda run: {})  # noqa: ARG005


class RemoteExecutor:
    """Launches jobs with `engine`, and adopts those of an earlier controller by the records of their attempts."""

    ready_seconds = math.inf
    launch_pause = 10.0
    builds_python = True
    place = None

    def __init__(
        self,
        engine: JobEngine,
        desk: NodeDesk,
        packages: CodePackages,
        records: AttemptRecords,
        clock: Clock,
        settings: RemoteSettings,
    ) -> None:
        self.name = engine.name
        self._desk = desk
        self._packages = packages
        self._records = records
        self._clock = clock
        self._settings = settings
        self._tracker = JobTracker(engine, clock, self._is_over)
        self._key = secrets.token_bytes(32)
        lost_after = settings.lost_after
        self._parts = RemoteParts(
            name=engine.name,
            desk=desk,
            tracker=self._tracker,
            clock=clock,
            grace=settings.grace.total_seconds(),
            lost_after=None if lost_after is None else lost_after.total_seconds(),
        )

    @property
    def readiness(self) -> Readiness:
        """Whether the cluster answered the last request about its jobs."""
        return self._tracker.readiness

    def open(self, on_change: Callable[[], None]) -> None:
        """Ask the cluster whether it answers. Threads start when they are needed."""
        self._tracker.on_change = on_change
        self._tracker.refresh()

    def close(self) -> None:
        """Let the threads end. Jobs keep running; a later call starts the threads again."""
        self._tracker.close()

    def maintain(self) -> None:
        """Ask the cluster about the jobs, and remove packages that are no longer needed."""
        self._desk.is_recovered = True
        self._tracker.refresh()
        self._tracker.run(self._remove_packages)

    def room(self) -> int | None:
        """Return how many more jobs may wait for free nodes: they occupy slots that other runs may need."""
        most = self._settings.max_waiting
        return None if most is None else most - self._desk.count_waiting()

    def find_obstacle(self, deployment: Deployment) -> str | None:
        """Return what is missing to run this deployment on nodes."""
        if not self._settings.is_pinned:
            return f"a commit: {self.name} runs only committed code"
        if deployment.secrets and not self._desk.has_node_secret:
            return "no node secret (see --node-secret-file)"
        return None

    def describe(self, launchable: Launchable, attempt: Attempt) -> Attempt:  # noqa: ARG002
        """Return the attempt with the id of its job and the hash of its ticket."""
        job_id = job_id_of(attempt.run_id, attempt.number, attempt.nonce)
        return replace(attempt, job_id=job_id, ticket=hash_ticket(self._ticket(job_id)))

    def launch(self, launchable: Launchable, attempt: Attempt) -> RemoteHandle:
        """Create the attempt's directory. Pack the code and submit the job on another thread. Raises OSError."""
        directory = attempt_directory(self._settings.directory, attempt)
        directory.parent.mkdir(exist_ok=True, mode=0o700)
        directory.mkdir(mode=0o700)
        handle = self._handle(launchable.run, attempt, directory)
        silence = launchable.deployment.on_silence
        handle.on_silence = None if silence is None else silence.total_seconds()
        self._desk.open(handle.seat)
        self._tracker.track(handle.tracked)
        self._tracker.run(self._submit, launchable, handle)
        return handle

    def adopt(self, run: Run, attempt: Attempt) -> RemoteHandle | None:
        """Return the handle of an attempt that another controller claimed: its runner may still ask or report.

        Without the order in the directory, an attempt that was not started never will be.
        """
        handle = self._handle(run, attempt, attempt_directory(self._settings.directory, attempt))
        seat = handle.seat
        handle.tracked.submitted_at = -math.inf
        seat.order = read_order(handle.directory)
        if run.state is RunState.RUNNING:
            handle.phase = Phase.AWAITING_END
            seat.stage, seat.instance, seat.node = Stage.STARTED, attempt.instance, attempt.node
            seat.started_at = self._clock.monotonic() - _seconds_since(run.started_at, self._clock.now())
            seat.beat_seconds = LATER_BEAT_SECONDS  # an earlier controller may have told it so
            self._read_ending(seat)
        handle.on_silence = None if seat.order is None else seat.order["order"].get("on_silence")
        if run.state is not RunState.RUNNING and seat.order is None:
            handle.abandon()
        self._desk.open(seat)
        self._tracker.track(handle.tracked)
        return handle

    def _handle(self, run: Run, attempt: Attempt, directory: Path) -> RemoteHandle:
        job_id = attempt.job_id or job_id_of(attempt.run_id, attempt.number, attempt.nonce)
        signal = WakeSignal()
        seat = Seat(
            job_id=job_id,
            nonce=attempt.nonce,
            ticket=attempt.ticket or "",
            directory=directory,
            signal=signal,
            heard_at=self._clock.monotonic(),
        )
        tracked = TrackedJob(job_id=job_id, signal=signal, session=attempt.session)
        return RemoteHandle(
            run=run, attempt=attempt, directory=directory, parts=self._parts, seat=seat, tracked=tracked
        )

    def _submit(self, launchable: Launchable, handle: RemoteHandle) -> None:
        """Pack the code, write the order, and submit the job. Called in a thread."""
        if handle.tracked.is_unwanted:
            return
        seat = handle.seat
        try:
            runner = self._packages.pack_runner()
            code = self._packages.pack_code(launchable.root, is_pinned=launchable.pycache is not None)
            order = make_order(
                launchable,
                handle.attempt,
                code=code,
                runner=runner,
                variables=self._settings.run_variables(launchable.run),
                grace=self._settings.grace,
                python=read_python(launchable.python, allows_source_builds=self._settings.allows_source_builds),
            )
            write_order(seat.directory, order)
        except (OSError, ControllerError) as error:
            handle.lacking = shortage(error)
            seat.failure = str(error)
            seat.signal.set()
            return
        except Exception as error:
            log.exception("A job can't be prepared", extra={"run": handle.run.id})
            seat.failure = f"{type(error).__name__}: {error}"
            seat.signal.set()
            return
        seat.order = order
        handle.tracked.job = self._job(launchable, handle, runner)
        self._tracker.submit(handle.tracked)

    def _job(self, launchable: Launchable, handle: RemoteHandle, runner: str) -> Job:
        job_id = handle.tracked.job_id
        variables = {
            "CONTROLLER_NODE_URL": self._settings.node_url,
            "CONTROLLER_JOB": job_id,
            "CONTROLLER_TICKET": self._ticket(job_id),
            "CONTROLLER_RUNNER": runner,
        }
        return Job(
            job_id=job_id,
            argv=job_argv(),
            variables=variables,
            resources=_resources(launchable),
            labels={"deployment": launchable.run.deployment, "run": launchable.run.id},
        )

    def _ticket(self, job_id: str) -> str:
        """Return the ticket of a job: it can be computed again, so that it is never stored."""
        return hmac.new(self._key, job_id.encode(), hashlib.sha256).hexdigest()

    def _read_ending(self, seat: Seat) -> None:
        """Read the end that a runner has reported to an earlier controller, which did not record it."""
        ending: dict[str, Any] | None = read_mark(seat.directory / "exit", seat.nonce)
        if ending is not None:
            try:
                seat.ending = exit_outcome(ending)
            except ValueError:
                return
            seat.signal.set()

    def _is_over(self, job_id: str) -> bool:
        record = self._records.find(job_id)
        return record is not None and record.is_over

    def _remove_packages(self) -> None:
        orders = [seat.order["order"] for seat in self._desk.seats() if seat.order is not None]
        needed = {order["runner"] for order in orders} | {order["code"]["digest"] for order in orders}
        self._packages.remove_unused(needed)


def _seconds_since(moment: datetime | None, now: datetime) -> float:
    return 0.0 if moment is None else max(0.0, (now - moment).total_seconds())


def _resources(launchable: Launchable) -> JobResources:
    wanted = launchable.deployment.resources
    return JobResources(
        cpus=1.0 if wanted.cpus is None else wanted.cpus,
        gpus=wanted.gpus or 0.0,
        memory=wanted.memory,
        custom=wanted.custom,
    )
