"""A run that can start, and one with a supervisor: the descriptor to wait for, and whether the supervisor lives."""

import os
import selectors
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from controller.model.deployments import Deployment
from controller.model.python_environments import PythonRuntime
from controller.model.runs import Attempt, Run
from controller.runs.executors.local.launcher import Launch
from controller.runs.executors.local.supervisor.poll import ready


@dataclass(frozen=True, slots=True, kw_only=True)
class Launchable:
    """A run that can start now.

    `root` is the exported tree of its revision, `pycache` the directory for bytecode, and `python` the interpreter of
    its flow, None for the controller's own.
    """

    run: Run
    deployment: Deployment
    root: Path
    pycache: Path | None
    python: PythonRuntime | None = None


@dataclass(slots=True, kw_only=True)
class ActiveRun:
    """A run and the connection to its supervisor.

    - `launch`: None for a supervisor that another controller started, or that this one has abandoned.
    - `handle`: a pidfd of such a supervisor, once it is known.
    - `ready_by`: when the launch is abandoned, in seconds of listening.
    - `exited_on_its_own`: the supervisor exited although it had everything it needs and was not stopped.
    """

    run: Run
    attempt: Attempt
    directory: Path
    launch: Launch | None
    handle: int | None = None
    ready_by: float = 0.0
    exited_on_its_own: bool = False
    _awaits_exit: bool = False

    @property
    def is_ready(self) -> bool:
        """Whether the supervisor has reported READY and waits for GO."""
        return self.launch is not None and self.launch.is_ready

    @property
    def awaits_exit(self) -> bool:
        """Whether the monitor has nothing more to send and only waits for the supervisor to exit."""
        return self.launch is None or self._awaits_exit

    @awaits_exit.setter
    def awaits_exit(self, value: bool) -> None:
        self._awaits_exit = value

    def is_alive(self) -> bool:
        """Whether the supervisor is known to be alive."""
        if self.launch is not None and self.launch.handle is not None:
            return not self.launch.has_ended()
        return self.handle is not None and not ready([self.handle], 0)

    def request_stop(self) -> None:
        """Send SIGTERM to the supervisor, which then stops its flow as cancelled."""
        self._signal(self.handle if self.launch is None else self.launch.handle, signal.SIGTERM)

    def kill(self) -> None:
        """Kill a supervisor that does not exit on its own."""
        self._signal(self.handle, signal.SIGKILL)

    @staticmethod
    def _signal(handle: int | None, number: signal.Signals) -> None:
        if handle is not None:
            with suppress(OSError):
                signal.pidfd_send_signal(handle, number)

    def register(self, selector: selectors.BaseSelector | None) -> None:
        """Register the descriptor that becomes readable at READY, or when the supervisor exits."""
        descriptor = self._descriptor()
        if selector is not None and descriptor is not None:
            selector.register(descriptor, selectors.EVENT_READ, self)

    def unregister(self, selector: selectors.BaseSelector | None) -> None:
        """Undo `register`. Call it before the descriptor changes or is closed."""
        descriptor = self._descriptor()
        if selector is not None and descriptor is not None:
            with suppress(KeyError, ValueError):
                selector.unregister(descriptor)

    def release(self) -> None:
        """Close the descriptors of this run. A supervisor that received GO keeps running."""
        if self.launch is not None:
            self.launch.detach()
        if self.handle is not None:
            os.close(self.handle)
            self.handle = None

    def _descriptor(self) -> int | None:
        if self.launch is None:
            return self.handle
        return self.launch.handle if self._awaits_exit else self.launch.wire.fileno()
