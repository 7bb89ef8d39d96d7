"""One run with a supervisor, as the watchlist keeps it: which descriptor to wait for, and whether it has ended."""

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
    """`launch` is None for a supervisor that another controller started, or that this one has given up.

    `handle` is a pidfd of such a one, once it is known. `ready_by` is when a launch is given up, in seconds of
    listening. `ended_by_itself`: its supervisor had all that it needs, nobody ended it, and it ended.
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
        """Whether nothing more is to be said to it: only its end is waited for."""
        return self.launch is None or self._is_going

    @is_going.setter
    def is_going(self, value: bool) -> None:
        self._is_going = value

    def is_alive(self) -> bool:
        """Whether its supervisor is known to live."""
        if self.launch is not None and self.launch.handle is not None:
            return not self.launch.has_ended()
        return self.handle is not None and not ready([self.handle], 0)

    def ask_to_end(self) -> None:
        """Have the supervisor end its flow, as cancelled."""
        self._signal(self.handle if self.launch is None else self.launch.handle, signal.SIGTERM)

    def kill(self) -> None:
        """End a supervisor that does not end by itself."""
        self._signal(self.handle, signal.SIGKILL)

    @staticmethod
    def _signal(handle: int | None, number: signal.Signals) -> None:
        if handle is not None:
            with suppress(OSError):
                signal.pidfd_send_signal(handle, number)

    def register(self, selector: selectors.BaseSelector | None) -> None:
        """Have the selector wait for READY, or for the end of the supervisor."""
        descriptor = self._descriptor()
        if selector is not None and descriptor is not None:
            selector.register(descriptor, selectors.EVENT_READ, self)

    def unregister(self, selector: selectors.BaseSelector | None) -> None:
        """Undo `register`, before the descriptor is another one or closed."""
        descriptor = self._descriptor()
        if selector is not None and descriptor is not None:
            with suppress(KeyError, ValueError):
                selector.unregister(descriptor)

    def release(self) -> None:
        """Close what is open of it; a process that was let go goes on."""
        if self.launch is not None:
            self.launch.detach()
        if self.handle is not None:
            os.close(self.handle)
            self.handle = None

    def _descriptor(self) -> int | None:
        if self.launch is None:
            return self.handle
        return self.launch.handle if self._is_going else self.launch.wire.fileno()
