"""The protocol of job engines, such as Ray: they place jobs on nodes. A job is one attempt's runner, never its flow.

An engine decides nothing. Only the database lets a flow start, and the runner reports how it ended. While a runner is
silent, the status that the engine reports for its job is the second source. `RemoteExecutor` calls engines on its own
threads, so every method may block for up to `TIMEOUT_SECONDS`.
"""

import enum
from collections.abc import Mapping
from dataclasses import field
from typing import Protocol

from controller.errors import ControllerError
from controller.records import dataclass

TIMEOUT_SECONDS = 30.0


class EngineUnreachableError(ControllerError):
    """The engine did not answer, so that nothing is known about its jobs."""


class JobRefusedError(ControllerError):
    """The engine has answered that it does not take this job. It has not started and never will."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResources:
    """The reservation of a job on its node: cores, GPUs, bytes of memory, and resources that the cluster names."""

    cpus: float = 1.0
    gpus: float = 0.0
    memory: int | None = None
    custom: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One runner. `job_id` is made before the first submission, and a repeated submission uses it again.

    `argv` starts the runner with `python3` of the node. `variables` are its environment variables, with the ticket.
    `labels` name the deployment and the run for people who look at the engine's own views.
    """

    job_id: str
    argv: tuple[str, ...]
    variables: Mapping[str, str] = field(repr=False)
    resources: JobResources = field(default_factory=JobResources)
    labels: Mapping[str, str] = field(default_factory=dict)


class JobPhase(enum.Enum):
    """The phase of a job, as the engine reports it."""

    WAITING = "waiting"
    RUNNING = "running"
    OVER = "over"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """The state of a job. `message`: the engine's own words, such as the reason of a failure.

    `has_expired`: it is over because the engine has given up waiting for its resources. It has not started.
    """

    phase: JobPhase
    message: str | None = None
    has_expired: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JobList:
    """All jobs that the engine knows. A new `session` means that it has lost the jobs of the previous one."""

    session: str
    jobs: Mapping[str, JobStatus]


class JobEngine(Protocol):
    """A cluster that runs jobs. All methods raise EngineUnreachableError.

    `name`: the name of its executor, as deployments write it.
    """

    name: str

    def submit(self, job: Job) -> str:
        """Submit a job, unless it was submitted already; return the session. Raises JobRefusedError."""

    def list_jobs(self) -> JobList:
        """Return all jobs with one question to the engine."""

    def stop(self, job_id: str) -> None:
        """Stop a job if it exists. Its runner gets SIGTERM."""

    def forget(self, job_id: str) -> None:
        """Remove a job that is over from the engine's list. Nothing happens if it does not exist."""
