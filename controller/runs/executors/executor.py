"""The protocol of executors: they run the attempts that the monitor has claimed, and tell how each of them ended.

The monitor keeps the order of writes and calls `Executor` and `Handle` on the engine's thread; `app` creates the
executor. Only the database decides whether a flow may start: the monitor sends GO after it has committed `running`.
"""

import enum
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from controller.model.deployments import Deployment
from controller.model.python_environments import PythonRuntime
from controller.model.runs import Attempt, Run, RunOutcome
from controller.model.status import ConditionStatus
from controller.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Launchable:
    """A run that can start now.

    `root` is the exported tree of its revision, `pycache` the directory for bytecode, and `python` the interpreter of
    its flow, None for the controller's own. `executor` is the name of the executor that launches it.
    """

    run: Run
    deployment: Deployment
    root: Path
    pycache: Path | None
    python: PythonRuntime | None = None
    executor: str = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alive:
    """The attempt has not ended.

    `started`: another controller has sent GO for this attempt. False also if that is unknown.
    """

    started: bool


@dataclass(frozen=True, slots=True)
class NotStarted:
    """Proven: no code of this attempt has run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncertain:
    """Whether the flow is running can't be found out now. `reason` says why, for people."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether an executor can start flows, with reason and message of its condition `ExecutorReady`."""

    status: ConditionStatus
    reason: str
    message: str


AttemptStatus = Alive | Uncertain | RunOutcome | NotStarted


class Phase(enum.Enum):
    """The next step of an attempt.

    - `STARTING`: it is being launched.
    - `READY`: it can start its flow, and waits for GO.
    - `AWAITING_END`: the controller has nothing more to send. It has received GO, was abandoned, or was adopted.
    """

    STARTING = "starting"
    READY = "ready"
    AWAITING_END = "awaiting end"


class Handle(Protocol):
    """One attempt of a run, from its launch to its end.

    - `run`: as its record is now; the monitor replaces it.
    - `attempt`: as it is recorded with `running`. The handle may complete it before it is ready.
    - `directory`: has the log, the events and the exit file of the attempt, wherever it runs.
    - `ready_by`: set by the monitor: when the launch is abandoned, in seconds of listening.
    - `ended_on_its_own`: the attempt ended although it had everything that it needs and was not abandoned. If its flow
      was not started either, the launch has failed, and only a few more are tried.
    """

    run: Run
    attempt: Attempt
    directory: Path
    ready_by: float
    ended_on_its_own: bool

    @property
    def phase(self) -> Phase:
        """The next step of the attempt."""

    @property
    def is_cold(self) -> bool:
        """Whether the launch started a new interpreter."""

    @property
    def lacking(self) -> str | None:
        """The resource that the machine was out of, if the launch failed because of that."""

    @property
    def launch_failure(self) -> str | None:
        """Why the attempt did not start its flow, for people; None if nothing more is known."""

    def fileno(self) -> int | None:
        """Return the descriptor that becomes readable when the attempt must be checked; None without one.

        It may change when `send_go`, `abandon` or `read_status` is called.
        """

    def receive(self) -> bool:
        """Read what has been sent since the launch; return False if the attempt ended without becoming ready."""

    def send_go(self) -> None:
        """Let the flow start. If this fails, the flow never starts."""

    def abandon(self) -> None:
        """Make sure that an attempt without GO never starts its flow."""

    def request_stop(self) -> None:
        """Request the end of the flow, as cancelled. Idempotent.

        An attempt that may take long to become ready is abandoned if it is still starting.
        """

    def read_status(self) -> AttemptStatus:
        """Return whether the attempt has ended, and how. Raises ResourceError: this process lacks what it needs."""

    def why_uncertain(self) -> str | None:
        """Return why the flow may have run although the status is `NotStarted` and GO may have been sent.

        None if it is certain that it has not run. Raises ResourceError.
        """

    def clean_up(self, status: RunOutcome | NotStarted) -> None:
        """Remove what an attempt with this status may have left behind. Raises ResourceError."""

    def release(self) -> None:
        """Close the connection: without GO the flow never starts; otherwise it keeps running."""


class Executor(Protocol):
    """Runs attempts in one place. Closing it ends no attempt: a later controller adopts them.

    `name`: recorded with the attempts that it launches. `ready_seconds`: how long the monitor listens for an attempt to
    become ready until it abandons the launch; infinite if attempts wait for free nodes. `launch_pause`: the seconds
    between the first failed launch of a run and the next one; 0: no pause. `builds_python`: a
    launch needs the flow's Python environment on this machine: its interpreter, or the lock that it was built from.
    """

    name: str
    ready_seconds: float
    launch_pause: float
    builds_python: bool

    @property
    def place(self) -> str | None:
        """The host and directory of new attempts, if they can be seen from one host only and hosts share the state."""

    @property
    def readiness(self) -> Readiness:
        """Whether the executor can start flows, according to its last requests. Sends no request."""

    def open(self, on_change: Callable[[], None]) -> None:
        """Prepare for launches, and find out whether this executor is ready.

        `on_change` is called, from any thread, when `readiness` has changed.
        """

    def close(self) -> None:
        """Close what launches use, since it may be broken or the controller stops. A later launch opens it again."""

    def maintain(self) -> None:
        """Do periodic work, every 10 seconds."""

    def room(self) -> int | None:
        """Return how many more attempts may wait for free nodes; None if attempts never wait for that."""

    def find_obstacle(self, deployment: Deployment) -> str | None:
        """Return why runs of this deployment can't be launched here now, for people; None if they can."""

    def describe(self, launchable: Launchable, attempt: Attempt) -> Attempt:
        """Return the attempt with what this executor records in its claim, such as where it runs.

        Raises OSError, ControllerError: it can't be launched.
        """

    def launch(self, launchable: Launchable, attempt: Attempt) -> Handle:
        """Launch an attempt that is claimed. Raises OSError, ValueError: it was not launched and never will be."""

    def adopt(self, run: Run, attempt: Attempt) -> Handle | None:
        """Return the handle of an attempt that another controller claimed. This changes nothing.

        None while nothing can be found out about the attempt from here, although its flow may be running.
        """
