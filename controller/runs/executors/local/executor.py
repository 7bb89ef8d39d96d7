"""The local executor: each attempt is a supervisor process on this machine. Created by `app`, used by the monitor."""

from collections.abc import Callable
from dataclasses import replace

from controller.model.deployments import Deployment
from controller.model.runs import Attempt, Run, RunState
from controller.model.status import ConditionStatus
from controller.runs.executors.attempt_files import attempt_directory
from controller.runs.executors.executor import Launchable, Readiness
from controller.runs.executors.local.handle import LocalHandle
from controller.runs.executors.local.launcher import Launcher
from controller.settings import boot_id

READY_SECONDS = 10.0
_READY = Readiness(status=ConditionStatus.TRUE, reason="Local", message="Flows run on the controller's machine.")


class LocalExecutor:
    """Launches supervisors with `launcher`, and finds those of an earlier controller by their directories."""

    name = "local"
    ready_seconds = READY_SECONDS
    launch_pause = 0.0
    builds_python = True

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self._boot_id = boot_id()

    @property
    def place(self) -> str | None:
        """The host and the directory of the runs, if controllers on several hosts share the state."""
        return self._launcher.place

    @property
    def readiness(self) -> Readiness:
        """Return that it is always ready."""
        return _READY

    def open(self, on_change: Callable[[], None]) -> None:  # noqa: ARG002
        """Start the fork server."""
        self._launcher.open()

    def close(self) -> None:
        """Stop the fork servers. Supervisors keep running; the next launch starts the servers again."""
        self._launcher.close()

    def maintain(self) -> None:
        """Stop the fork servers of Python environments that are no longer in use."""
        self._launcher.stop_idle_servers()

    def room(self) -> int | None:
        """Return None: supervisors start at once."""
        return None

    def find_obstacle(self, deployment: Deployment) -> str | None:  # noqa: ARG002
        """Return None: this machine runs all deployments."""
        return None

    def describe(self, launchable: Launchable, attempt: Attempt) -> Attempt:  # noqa: ARG002
        """Record where it runs."""
        return attempt if self.place is None else replace(attempt, place=self.place)

    def launch(self, launchable: Launchable, attempt: Attempt) -> LocalHandle:
        """Write the attempt's directory and start its supervisor. Raises OSError, ValueError."""
        launch = self._launcher.launch(
            launchable.run,
            launchable.deployment,
            launchable.root,
            nonce=attempt.nonce,
            pycache=launchable.pycache,
            python=launchable.python,
        )
        return LocalHandle(
            run=launchable.run,
            attempt=attempt,
            directory=launch.directory,
            launcher=self._launcher,
            launch=launch,
        )

    def adopt(self, run: Run, attempt: Attempt) -> LocalHandle | None:
        """Return the handle of an attempt whose supervisor another controller has started, if it got that far.

        None if its flow may be running on another host. Without GO it certainly is not.
        """
        directory = self._launcher.find_directory(attempt)
        if directory is None and run.state is RunState.RUNNING:
            return None
        return LocalHandle(
            run=run,
            attempt=attempt,
            directory=directory or attempt_directory(self._launcher.directory, attempt),
            launcher=self._launcher,
            same_boot=attempt.boot_id == self._boot_id,
        )
