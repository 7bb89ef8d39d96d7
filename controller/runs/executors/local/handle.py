"""The handle of a local attempt: the descriptor to wait for, whether its supervisor lives, and how it ended."""

import logging
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from controller.errors import ResourceError, shortage
from controller.model.runs import Attempt, Run, RunOutcome, RunState
from controller.runs.executors.executor import Alive, AttemptStatus, NotStarted, Phase
from controller.runs.executors.local.launcher import Launch, Launcher
from controller.runs.executors.local.recovery import LiveSupervisor, recover, why_unprepared
from controller.runs.executors.local.supervisor import temporary_directory
from controller.runs.executors.local.supervisor.poll import ready

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class LocalHandle:
    """An attempt and the connection to its supervisor.

    - `launch`: None for a supervisor that another controller started, or that this one has abandoned.
    - `same_boot`: the attempt was claimed since the machine was last started.
    - `ready_by`, `ended_on_its_own`: see `Handle`.
    """

    run: Run
    attempt: Attempt
    directory: Path
    launcher: Launcher
    launch: Launch | None = None
    same_boot: bool = True
    ready_by: float = 0.0
    ended_on_its_own: bool = False
    _pidfd: int | None = None  # of a supervisor without `launch`, once it is known
    _has_go: bool = False

    @property
    def phase(self) -> Phase:
        """The next step of the attempt."""
        if self.launch is None or self._has_go:
            return Phase.AWAITING_END
        return Phase.READY if self.launch.is_ready else Phase.STARTING

    @property
    def is_cold(self) -> bool:
        """Whether the supervisor was started in a new interpreter, and not by a fork server."""
        return self.launch is not None and self.launch.process is not None

    @property
    def lacking(self) -> str | None:
        """The resource that was exhausted if the supervisor could not start, or can't be waited for."""
        return None if self.launch is None else self.launch.want

    @property
    def launch_failure(self) -> str | None:
        """None: its `supervisor.log` says more."""
        return None

    def fileno(self) -> int | None:
        """Return the descriptor that becomes readable at READY, or when the supervisor exits."""
        if self.launch is None:
            return self._pidfd
        return self.launch.handle if self._has_go else self.launch.wire.fileno()

    def receive(self) -> bool:
        """Read the supervisor's messages; return False once it has ended without READY."""
        return self._launched().receive()

    def send_go(self) -> None:
        """Send GO; the supervisor then starts the flow. From now on the descriptor is the pidfd of the supervisor."""
        self._launched().send_go()
        self._has_go = True

    def abandon(self) -> None:
        """Make sure that the supervisor ends without starting its flow: its directory shows when it has ended."""
        launch = self._launched()
        launch.terminate()
        launch.detach()
        self.launch = None

    def request_stop(self) -> None:
        """Send SIGTERM to the supervisor, which then stops its flow as cancelled."""
        if self.phase is not Phase.AWAITING_END:
            return  # it becomes ready in a moment
        self._signal(self._pidfd if self.launch is None else self.launch.handle, signal.SIGTERM)

    def read_status(self) -> AttemptStatus:
        """Read the directory of a supervisor that has ended; while a supervisor lives, its flow may live.

        Adopts a supervisor that an earlier controller started: it holds the lock.
        """
        is_ours = self.launch is not None or self.run.state is RunState.RUNNING
        if is_ours and self._is_alive():
            return Alive(started=False)
        status = recover(self.directory, self.attempt.nonce, same_boot=self.same_boot)
        if isinstance(status, LiveSupervisor):
            return self._adopt(status)
        if self.launch is not None and self._has_go:
            self.ended_on_its_own = True
        return status

    def why_uncertain(self) -> str | None:
        """Return why the directory does not prove that nothing ran; None if its prepared files still exist."""
        if not self.same_boot:
            # Files of the previous boot may be lost.
            return "the machine was restarted while the run was being launched"
        return why_unprepared(self.directory)

    def clean_up(self, status: RunOutcome | NotStarted) -> None:
        """Remove its temporary directory, and kill the processes that a lost supervisor has left behind."""
        if isinstance(status, NotStarted) or status.state is RunState.CRASHED:
            self._kill_remaining()
        temporary_directory.remove_left_behind(str(self.directory))

    def release(self) -> None:
        """Close the descriptors. A supervisor that received GO keeps running; without GO it exits."""
        if self.launch is not None:
            self.launch.detach()
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None

    def _launched(self) -> Launch:
        assert self.launch is not None, "this controller has not launched the supervisor, or has abandoned it"
        return self.launch

    def _is_alive(self) -> bool:
        """Whether the supervisor is known to be alive."""
        if self.launch is not None and self.launch.handle is not None:
            return not self.launch.has_ended()
        return self._pidfd is not None and not ready([self._pidfd], 0)

    def _adopt(self, supervisor: LiveSupervisor) -> Alive:
        """Open a pidfd of this supervisor, unless this controller has started it or its id is not known."""
        if supervisor.pid is None or self.launch is not None:
            return Alive(started=False)
        if self._pidfd is None:
            self._pidfd = self._open_holder(supervisor.pid)
            if self._pidfd is not None:
                log.info("Run adopted", extra={"deployment": self.run.deployment, "run": self.run.id})
        elif self.run.state is RunState.LAUNCHING and not supervisor.started:
            # It never gets GO and has not noticed: it is stopped or hung.
            self._signal(self._pidfd, signal.SIGKILL)
        return Alive(started=supervisor.started)

    def _open_holder(self, pid: int) -> int | None:
        """Open a pidfd of the process that holds the lock; None if it has just released it and the pid was reused.

        Also None while no descriptor is free: the next tick tries again.
        """
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            return None
        try:
            again = recover(self.directory, self.attempt.nonce, same_boot=True)
        except ResourceError:
            again = None
        if isinstance(again, LiveSupervisor) and again.pid == pid:
            return pidfd
        os.close(pidfd)
        return None

    def _kill_remaining(self) -> None:
        try:
            killed = self.launcher.clean_up(self.attempt.nonce)
        except OSError as error:
            if (lacking := shortage(error, with_disk=False)) is not None:
                raise ResourceError(lacking) from error
            log.warning("Processes of a lost run can't be listed", extra={"run": self.run.id, "error": str(error)})
            return
        if killed:
            log.warning("Processes of a lost run were killed", extra={"run": self.run.id, "count": killed})

    @staticmethod
    def _signal(pidfd: int | None, number: signal.Signals) -> None:
        if pidfd is not None:
            with suppress(OSError):
                signal.pidfd_send_signal(pidfd, number)
