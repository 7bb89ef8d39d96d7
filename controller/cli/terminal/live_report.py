"""Reports that are redrawn every second: the status on the full screen, and the table of a list with `--watch`."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from rich.live import Live
from rich.text import Text

from controller.cli.terminal.console import console
from controller.cli.terminal.status_view import render_status
from controller.cli.terminal.tables import CompactTable
from controller.clock import Clock
from controller.errors import ControllerError
from controller.queries.status import StatusView

WATCH_SECONDS = 1.0


def show_report(read_status: Callable[[], StatusView], clock: Clock, is_over: Callable[[], bool]) -> None:
    """Redraw the status that `read_status` returns until `is_over`, which waits between two frames, returns True."""
    screen = console()
    with Live(console=screen, screen=True, auto_refresh=False) as frame, _suspending(frame) as suspension:
        while True:
            with suspension.defer_stop():
                try:
                    frame.update(render_status(read_status(), clock.now(), rows=screen.height), refresh=True)
                except ControllerError as error:
                    frame.update(Text(error.message), refresh=True)
            if is_over():
                return


class _Suspension:
    """Restores the terminal before Ctrl-Z stops the process, and the view after `fg` continues it."""

    def __init__(self, frame: Live) -> None:
        self._frame = frame
        self._is_drawing = False
        self._is_pending = False

    def on_signal(self, number: int, _: FrameType | None) -> None:
        """Handle SIGTSTP. While a frame is drawn, the stop is deferred, because output is not reentrant."""
        self._is_pending = True
        if not self._is_drawing:
            self._suspend(number)

    @contextmanager
    def defer_stop(self) -> Iterator[None]:
        """Defer stopping the process until the end of the block."""
        self._is_drawing = True
        try:
            yield
        finally:
            self._is_drawing = False
            if self._is_pending:
                self._suspend(signal.SIGTSTP)

    def _suspend(self, number: int) -> None:
        self._is_drawing, self._is_pending = True, False
        self._frame.stop()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        # The process is stopped here until it receives SIGCONT.
        signal.signal(number, self.on_signal)
        self._frame.start(refresh=True)
        self._is_drawing = False


@contextmanager
def _suspending(frame: Live) -> Iterator[_Suspension]:
    suspension = _Suspension(frame)
    previous = signal.getsignal(signal.SIGTSTP)
    if previous is not signal.SIG_IGN:
        signal.signal(signal.SIGTSTP, suspension.on_signal)
    try:
        yield suspension
    finally:
        signal.signal(signal.SIGTSTP, previous)


def watch_status(read_status: Callable[[], StatusView], clock: Clock) -> None:
    """Redraw the status every second until Ctrl-C."""
    pause = threading.Event()
    with suppress(KeyboardInterrupt):
        show_report(read_status, clock, lambda: pause.wait(WATCH_SECONDS))


def show_table(read_table: Callable[[], CompactTable]) -> None:
    """Redraw the table that `read_table` returns every second. Ends with KeyboardInterrupt."""
    pause = threading.Event()
    with Live(console=console(), auto_refresh=False) as frame:
        while True:
            frame.update(read_table(), refresh=True)
            pause.wait(WATCH_SECONDS)
