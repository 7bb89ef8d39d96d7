"""The status view, drawn anew until something says stop. Used by `run` on a terminal and by `status --watch`."""

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
from controller.clock import Clock
from controller.errors import ControllerError
from controller.queries.status import StatusView

WATCH_SECONDS = 1.0


def live(look: Callable[[], StatusView], clock: Clock, is_over: Callable[[], bool]) -> None:
    """Draw what `look` sees; `is_over` waits a little and says whether to end."""
    screen = console()
    with Live(console=screen, screen=True, auto_refresh=False) as frame, _suspending(frame) as suspension:
        while True:
            with suspension.put_off():
                try:
                    frame.update(render_status(look(), clock.now(), rows=screen.height), refresh=True)
                except ControllerError as error:
                    frame.update(Text(error.message), refresh=True)
            if is_over():
                return


class _Suspension:
    """^Z gives the terminal back to the shell before the process stops, and `fg` brings the view back."""

    def __init__(self, frame: Live) -> None:
        self._frame = frame
        self._is_drawing = False
        self._is_asked = False

    def ask(self, number: int, _: FrameType | None) -> None:
        """The handler of SIGTSTP. A frame that is being drawn is drawn to its end: output is not reentrant."""
        self._is_asked = True
        if not self._is_drawing:
            self._suspend(number)

    @contextmanager
    def put_off(self) -> Iterator[None]:
        """Within, the process is not stopped; afterwards it is, if somebody asked."""
        self._is_drawing = True
        try:
            yield
        finally:
            self._is_drawing = False
            if self._is_asked:
                self._suspend(signal.SIGTSTP)

    def _suspend(self, number: int) -> None:
        self._is_drawing, self._is_asked = True, False
        self._frame.stop()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        # Stopped here, until somebody lets us go on.
        signal.signal(number, self.ask)
        self._frame.start(refresh=True)
        self._is_drawing = False


@contextmanager
def _suspending(frame: Live) -> Iterator[_Suspension]:
    suspension = _Suspension(frame)
    before = signal.getsignal(signal.SIGTSTP)
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGTSTP, suspension.ask)
    try:
        yield suspension
    finally:
        signal.signal(signal.SIGTSTP, before)


def watch(look: Callable[[], StatusView], clock: Clock) -> None:
    """Draw until Ctrl-C."""
    pause = threading.Event()
    with suppress(KeyboardInterrupt):
        live(look, clock, lambda: pause.wait(WATCH_SECONDS))
