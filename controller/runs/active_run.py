"""One run with a supervisor, as the monitor keeps it: its descriptor, and whether the supervisor has ended."""

import os
import selectors
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from controller.model.runs import Attempt, Run
from controller.runs.executors.local.launcher import Launch
from controller.runs.executors.local.supervisor.poll import ready


@dataclass(slots=True, kw_only=True)
class ActiveRun:
    """A run that is being launched or running.

    `launch` is None for a supervisor that another controller started or that this one has given up; `handle` is then
    its pidfd, once known. `ready_by` is when a launch is given up, in seconds of listening. `ended_by_itself`: the
    supervisor exited although it lacked nothing and was not stopped.
    """

    run: Run
    attempt: Attempt
    directory: Path
    launch: Launch | None
    handle: int | None = None
    ready_by: float = 0.0
    ended_by_itself: bool = False
    _is_going: bool = False

    @property
    def is_ready(self) -> bool:
        """Whether it waits for GO."""
        return self.launch is not None and self.launch.is_ready

    @property
    def is_going(self) -> bool:
        """Whether it needs no more messages: the monitor only waits for its end."""
        return self.launch is None or self._is_going

    @is_going.setter
    def is_going(self, value: bool) -> None:
        self._is_going = value

    def is_alive(self) -> bool:
        """Whether its supervisor is known to be running."""
        if self.launch is not None and self.launch.handle is not None:
            return not self.launch.has_ended()
        return self.handle is not None and not ready([self.handle], 0)

    def ask_to_end(self) -> None:
        """Ask the supervisor to stop its flow, as cancelled."""
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
        """Register for READY, or for the end of the supervisor."""
        descriptor = self._descriptor()
        if selector is not None and descriptor is not None:
            selector.register(descriptor, selectors.EVENT_READ, self)

    def unregister(self, selector: selectors.BaseSelector | None) -> None:
        """Undo `register`, before the descriptor changes or is closed."""
        descriptor = self._descriptor()
        if selector is not None and descriptor is not None:
            with suppress(KeyError, ValueError):
                selector.unregister(descriptor)

    def release(self) -> None:
        """Close its descriptors; a process that received GO keeps running."""
        if self.launch is not None:
            self.launch.detach()
        if self.handle is not None:
            os.close(self.handle)
            self.handle = None

    def _descriptor(self) -> int | None:
        if self.launch is None:
            return self.handle
        return self.launch.handle if self._is_going else self.launch.wire.fileno()
