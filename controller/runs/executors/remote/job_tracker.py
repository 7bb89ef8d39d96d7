"""Asks a cluster about its jobs and changes them, on threads of its own. Used by the remote executor. Thread-safe.

The engine's thread only starts calls here; what they find out is stored, and the attempts that it concerns are woken.
"""

import logging
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from controller.clock import Clock
from controller.model.status import ConditionStatus
from controller.runs.executors.executor import Readiness
from controller.runs.executors.remote.decision_table import JobAnswer, Sighting
from controller.runs.executors.remote.job_engine import (
    EngineUnreachableError,
    Job,
    JobEngine,
    JobList,
    JobPhase,
    JobRefusedError,
)
from controller.runs.executors.remote.workers import Workers
from controller.runs.wake_signal import WakeSignal

log = logging.getLogger(__name__)

THREADS = 4
IDLE_SECONDS = 60.0
"""How often to ask a cluster that has no jobs of this controller, as long as it answers."""
_UNREACHABLE = "ClusterUnreachable"
_ANSWERS = {
    JobPhase.WAITING: JobAnswer.WAITING,
    JobPhase.RUNNING: JobAnswer.RUNNING,
    JobPhase.OVER: JobAnswer.OVER,
}


@dataclass(slots=True, kw_only=True)
class TrackedJob:
    """One job that the cluster runs for us.

    - `submitted_at`: when the submission was answered; None before that. `session`: of the cluster at that time.
    - `sighting`: the last answer about the job. `refusal`: why the cluster does not take it.
    - `is_unwanted`: its attempt never starts, or was given up, so that the job is stopped.
    """

    job_id: str
    signal: WakeSignal
    submitted_at: float | None = None
    session: str | None = None
    sighting: Sighting | None = None
    refusal: str | None = None
    is_unwanted: bool = False
    job: Job | None = field(default=None, repr=False)


class JobTracker:
    """The jobs of one cluster. `is_over`: whether a job of this controller's project is recorded as ended.

    `readiness` says whether the cluster answered the last request about its jobs. `on_change` is called from a thread
    when it has changed.
    """

    def __init__(self, engine: JobEngine, clock: Clock, is_over: Callable[[str], bool]) -> None:
        self._engine = engine
        self._clock = clock
        self._is_over = is_over
        self._workers = Workers(THREADS, engine.name)
        self._lock = threading.Lock()
        self._jobs: dict[str, TrackedJob] = {}
        self._ended: dict[str, bool] = {}
        self._is_listing = False
        self._idle_until = -math.inf
        self.on_change: Callable[[], None] = lambda: None
        self.readiness = Readiness(
            status=ConditionStatus.UNKNOWN, reason="NotAsked", message="The cluster has not been asked yet."
        )
        self._has_listed = False

    def close(self) -> None:
        """Let the threads end. A later call starts them again."""
        self._workers.close()

    def run(self, function: Callable[..., object], *arguments: object) -> None:
        """Call a function that takes long in one of the threads."""
        self._workers.submit(function, *arguments)

    def track(self, tracked: TrackedJob) -> None:
        """Ask about this job from now on."""
        with self._lock:
            self._jobs[tracked.job_id] = tracked

    def submit(self, tracked: TrackedJob) -> None:
        """Submit the job of an attempt. Called in a thread; while the cluster is unreachable, `refresh` repeats it."""
        if tracked.is_unwanted or tracked.job is None or tracked.submitted_at is not None:
            return
        try:
            tracked.session = self._engine.submit(tracked.job)
        except EngineUnreachableError as error:
            self._see(tracked, JobAnswer.UNREACHABLE, self._clock.monotonic(), error.message)
            return
        except JobRefusedError as error:
            tracked.refusal = error.message
            tracked.signal.set()
            return
        except Exception as error:
            log.exception("A job can't be submitted", extra={"job": tracked.job_id})
            tracked.refusal = f"{type(error).__name__}: {error}"
            tracked.signal.set()
            return
        tracked.sighting = None
        tracked.submitted_at = self._clock.monotonic()
        with self._lock:
            if tracked.job_id not in self._jobs:  # its attempt was released meanwhile
                self._ended[tracked.job_id] = tracked.is_unwanted
        self._stop_if_unwanted(tracked)

    def _submit_again(self, tracked: TrackedJob) -> None:
        """Submit a job again whose resources the cluster did not have in the time that it waits for them."""
        self._call(self._engine.forget, tracked.job_id)
        tracked.submitted_at = None
        self.submit(tracked)

    def _stop_if_unwanted(self, tracked: TrackedJob) -> None:
        if tracked.is_unwanted:
            self._call(self._engine.stop, tracked.job_id)

    def stop(self, tracked: TrackedJob) -> None:
        """Stop the job. Its runner gets SIGTERM."""
        if tracked.submitted_at is not None:
            self._workers.submit(self._call, self._engine.stop, tracked.job_id)

    def forget(self, tracked: TrackedJob) -> None:
        """Remove the job from the list of the cluster as soon as it is over."""
        with self._lock:
            self._jobs.pop(tracked.job_id, None)
            if tracked.submitted_at is not None:
                self._ended[tracked.job_id] = tracked.is_unwanted

    def drop(self, tracked: TrackedJob) -> None:
        """Ask no more about this job: another controller takes over its attempt."""
        with self._lock:
            self._jobs.pop(tracked.job_id, None)

    @property
    def _is_ready(self) -> bool:
        return self.readiness.status is ConditionStatus.TRUE

    def refresh(self) -> None:
        """Ask the cluster about all jobs, and repeat submissions, unless an earlier request is still in progress.

        Without jobs, ask a cluster that answers only every `IDLE_SECONDS`.
        """
        now = self._clock.elapsed()
        with self._lock:
            is_idle = self._is_ready and not self._jobs and not self._ended
            if self._is_listing or (is_idle and now < self._idle_until):
                return
            self._is_listing = True
            self._idle_until = now + IDLE_SECONDS
            waiting = [tracked for tracked in self._jobs.values() if tracked.job and tracked.submitted_at is None]
        self._workers.submit(self._list)
        for tracked in waiting:
            if tracked.sighting is not None:  # the submission was tried, and not answered
                self._workers.submit(self.submit, tracked)

    def _list(self) -> None:
        asked_at = self._clock.monotonic()
        try:
            found = self._engine.list_jobs()
        except EngineUnreachableError as error:
            self._note_unreachable(asked_at, error)
        except Exception as error:
            log.exception("The answer of a cluster can't be read", extra={"executor": self._engine.name})
            self._note_unreachable(asked_at, EngineUnreachableError(f"{type(error).__name__}: {error}"))
        else:
            self._note_jobs(asked_at, found)
        finally:
            self._is_listing = False

    def _note_unreachable(self, asked_at: float, error: EngineUnreachableError) -> None:
        if self.readiness.reason != _UNREACHABLE:
            fields = {"executor": self._engine.name, "error": error.message, "hint": error.hint}
            log.warning("The cluster does not answer", extra=fields)
        message = " ".join(filter(None, (error.message, error.hint)))
        self._set_readiness(ConditionStatus.FALSE, _UNREACHABLE, message)
        for tracked in self._submitted():
            self._see(tracked, JobAnswer.UNREACHABLE, asked_at, error.message)

    def _set_readiness(self, status: ConditionStatus, reason: str, message: str) -> None:
        before, self.readiness = self.readiness, Readiness(status=status, reason=reason, message=message)
        if self.readiness != before:
            self.on_change()

    def _note_jobs(self, asked_at: float, found: JobList) -> None:
        if self.readiness.reason == _UNREACHABLE:
            log.info("The cluster answers again", extra={"executor": self._engine.name})
        self._set_readiness(ConditionStatus.TRUE, "ClusterAnswers", "The cluster answers.")
        for tracked in self._submitted():
            if tracked.submitted_at is None or tracked.submitted_at > asked_at:
                continue
            status = found.jobs.get(tracked.job_id)
            is_known = status is not None and tracked.session in (None, found.session)
            if status is None or not is_known:
                self._see(tracked, JobAnswer.FORGOTTEN, asked_at, None)
            elif status.has_expired and tracked.job is not None and not tracked.is_unwanted:
                self._submit_again(tracked)
            else:
                tracked.session = found.session
                self._see(tracked, _ANSWERS[status.phase], asked_at, status.message)
        self._clean_up(found)

    def _see(self, tracked: TrackedJob, answer: JobAnswer, asked_at: float, message: str | None) -> None:
        before = tracked.sighting
        since = before.since if before is not None and before.answer is answer else asked_at
        tracked.sighting = Sighting(answer=answer, since=since, asked_at=asked_at, message=message)
        if answer not in (JobAnswer.WAITING, JobAnswer.RUNNING) or before is None or before.answer is not answer:
            tracked.signal.set()

    def _clean_up(self, found: JobList) -> None:
        """Remove jobs from the cluster that have ended; stop those whose attempts never start."""
        self._find_left_behind(found)
        with self._lock:
            for job_id in self._ended.keys() - found.jobs.keys():
                del self._ended[job_id]
            ended = dict(self._ended)
        for job_id, is_unwanted in ended.items():
            if found.jobs[job_id].phase is JobPhase.OVER:
                self._call(self._engine.forget, job_id)
            elif is_unwanted:
                self._call(self._engine.stop, job_id)

    def _find_left_behind(self, found: JobList) -> None:
        """Find the jobs of attempts that ended while no controller could remove them, once after the start."""
        if self._has_listed:
            return
        self._has_listed = True
        for job_id in found.jobs:
            if job_id not in self._jobs and self._is_over(job_id):
                with self._lock:
                    self._ended.setdefault(job_id, True)

    def _submitted(self) -> list[TrackedJob]:
        with self._lock:
            return [tracked for tracked in self._jobs.values() if tracked.submitted_at is not None]

    def _call(self, function: Callable[[str], None], job_id: str) -> None:
        try:
            function(job_id)
        except EngineUnreachableError as error:
            log.info("The cluster did not answer", extra={"job": job_id, "error": error.message})
