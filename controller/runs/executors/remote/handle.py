"""The handle of a remote attempt: what its runner has asked or reported, and what follows from its silence."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from controller.clock import Clock
from controller.model.runs import Attempt, Run, RunOutcome, RunState
from controller.runs.executors.executor import AttemptStatus, NotStarted, Phase
from controller.runs.executors.remote import received_files
from controller.runs.executors.remote.decision_table import MISSING_SECONDS, Evidence, JobAnswer, decide
from controller.runs.executors.remote.job_tracker import JobTracker, TrackedJob
from controller.runs.executors.remote.node_desk import NodeDesk
from controller.runs.executors.remote.seat import Seat, Stage

log = logging.getLogger(__name__)

STOP_SECONDS = 10.0
"""How long after the grace period a silent runner is stopped by the cluster, if its flow was cancelled, and how often
that is repeated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteParts:
    """The parts that all handles of one executor use. `grace`, `lost_after`: in seconds; see `Evidence`."""

    name: str
    desk: NodeDesk
    tracker: JobTracker
    clock: Clock
    grace: float
    lost_after: float | None


@dataclass(slots=True, kw_only=True)
class RemoteHandle:
    """One attempt, with its seat at the desk and its job in the cluster.

    - `ready_by`, `ended_on_its_own`: see `Handle`. `lacking`: see `Handle`; set by the thread that submits the job.
    - `on_silence`: after how many seconds without a controller the runner ends its flow; None: never.
    """

    run: Run
    attempt: Attempt
    directory: Path
    parts: RemoteParts
    seat: Seat
    tracked: TrackedJob
    phase: Phase = Phase.STARTING
    on_silence: float | None = None
    ready_by: float = 0.0
    ended_on_its_own: bool = False
    lacking: str | None = None
    is_cold: bool = field(default=True, init=False)
    _is_void: bool = False
    _is_over: bool = False
    _stop_at: float = 0.0

    @property
    def launch_failure(self) -> str | None:
        """Why the runner, or the cluster, could not start the flow."""
        if self.tracked.refusal is not None:
            return f"{self.parts.name}: {self.tracked.refusal}"
        if self.seat.failure is not None:
            return self.seat.failure
        sighting = self.tracked.sighting
        if not self.ended_on_its_own or sighting is None:
            return None
        if sighting.answer is JobAnswer.FORGOTTEN:
            return f"{self.parts.name} has lost its job"
        if sighting.answer is JobAnswer.OVER:
            return f"{self.parts.name}: {sighting.message or 'its job ended before the flow was started'}"
        return None

    def fileno(self) -> int | None:
        """Return the descriptor that becomes readable when a runner has asked or reported something."""
        descriptor = self.seat.signal.fileno()
        return None if descriptor < 0 else descriptor

    def receive(self) -> bool:
        """Note that a runner asks for permission to start. Return False if the attempt ended without that."""
        self.seat.signal.clear()
        if self.lacking or self.launch_failure is not None:
            return False
        if self.phase is Phase.STARTING and self.seat.stage is Stage.ASKING:
            self.attempt = replace(
                self.attempt,
                session=self.tracked.session,
                instance=self.seat.instance,
                node=self.seat.node,
                code=None if self.seat.order is None else self.seat.order["order"]["code"]["digest"],
            )
            self.phase = Phase.READY
        return self.phase is not Phase.STARTING or not isinstance(self._decide(), NotStarted)

    def send_go(self) -> None:
        """Let the runner that has asked start the flow."""
        self.phase = Phase.AWAITING_END
        content: Mapping[str, Any] = {"nonce": self.attempt.nonce, "at": self.parts.clock.now().timestamp()}
        try:
            received_files.write_mark(self.directory, "started", content, is_durable=False)  # the record says it too
            received_files.append(self.directory, received_files.LOG, 0, b"", self.parts.clock.now())
        except OSError as error:  # it only shows when the flow was started
            log.warning("The start of a run can't be stored", extra={"run": self.run.id, "error": error.strerror})
        self.parts.desk.go(self.seat)

    def abandon(self) -> None:
        """Never let the attempt start, and remove its job."""
        self.phase = Phase.AWAITING_END
        self._is_void = True
        self.parts.desk.void(self.seat)
        self._remove_job()

    def request_stop(self) -> None:
        """Tell the runner with its next beat that its flow must end. An attempt without GO never starts."""
        if self._is_void:
            return
        if self.phase is not Phase.AWAITING_END:
            self.abandon()
            self.seat.signal.set()
            return
        now, patience = self.parts.clock.monotonic(), self.parts.grace + STOP_SECONDS
        if not self.seat.is_cancelled:
            self.seat.is_cancelled, self._stop_at = True, now + patience
        if now >= max(self._stop_at, self.seat.heard_at + patience):
            self._stop_at = now + STOP_SECONDS
            self.parts.tracker.stop(self.tracked)

    def read_status(self) -> AttemptStatus:
        """Return what the runner has reported, or what follows from its silence."""
        self.seat.signal.clear()
        if self._is_void:
            return NotStarted()
        if self.seat.ending is not None:
            return self.seat.ending
        if self.seat.failure is not None:  # it came after `start`, and before GO
            self.ended_on_its_own = True
            return NotStarted()
        return self._decide()

    def why_uncertain(self) -> str | None:
        """Return why the flow may have run: an attempt that has received GO can't be proven not to have started."""
        if self._is_void or self.seat.failure is not None or self.run.state is not RunState.RUNNING:
            return None
        return "its runner was allowed to start the flow"

    def clean_up(self, status: RunOutcome | NotStarted) -> None:
        """Stop the job of a lost attempt, in case that it still runs."""
        if isinstance(status, NotStarted) or self.seat.ending is None:
            self._remove_job()
        self._is_over = True

    def release(self) -> None:
        """Answer what the runner waits for. Unless the attempt has ended, another controller takes it over."""
        self.parts.desk.close(self.seat, is_final=self._is_over)
        if self._is_over:
            self.parts.tracker.forget(self.tracked)
        else:
            self.parts.tracker.drop(self.tracked)
        self.seat.signal.close()

    def _remove_job(self) -> None:
        if not self.tracked.is_unwanted:
            self.tracked.is_unwanted = True
            self.parts.tracker.stop(self.tracked)

    def _decide(self) -> AttemptStatus:
        evidence = Evidence(
            cluster=self.parts.name,
            is_running=self.phase is Phase.AWAITING_END,
            silent_at=self.seat.silent_at,
            sighting=self.tracked.sighting,
            lost_after=self.parts.lost_after,
            missing_seconds=max(MISSING_SECONDS, self.on_silence or 0.0),
        )
        status = decide(evidence, self.parts.clock.monotonic())
        if isinstance(status, NotStarted | RunOutcome):
            self.ended_on_its_own = True
        return status
