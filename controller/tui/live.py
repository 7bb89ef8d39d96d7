"""The status view, drawn anew until something says stop. Used by `run` on a terminal and by `status --watch`."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from rich.live import Live
from rich.text import Text

from controller.clock import Clock
from controller.errors import ControllerError
from controller.tui.console import console
from controller.tui.status import render_status
from controller.views.status import StatusView

WATCH_SECONDS = 1.0


def live(look: Callable[[], StatusView], clock: Clock, is_over: Callable[[], bool]) -> None:
    """Draw what `look` sees; `is_over` waits a little and says whether to end."""
    screen = console()
    with Live(console=screen, screen=True, auto_refresh=False) as frame, _suspended_cleanly(frame):
        while True:
            try:
                frame.update(render_status(look(), clock.now(), rows=screen.height), refresh=True)
            except ControllerError as error:
                frame.update(Text(error.message), refresh=True)
            if is_over():
                return


@contextmanager
def _suspended_cleanly(frame: Live) -> Iterator[None]:
    """Within, ^Z gives the terminal back to the shell before the process stops, and `fg` brings the view back."""
    before = signal.getsignal(signal.SIGTSTP)
    if before is signal.SIG_IGN:
        yield
        return

    def suspend(number: int, _: FrameType | None) -> None:
        frame.stop()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        # Stopped here, until somebody lets us go on.
        signal.signal(number, suspend)
        frame.start(refresh=True)

    signal.signal(signal.SIGTSTP, suspend)
    try:
        yield
    finally:
        signal.signal(signal.SIGTSTP, before)


def watch(look: Callable[[], StatusView], clock: Clock) -> None:
    """Draw until Ctrl-C."""
    pause = threading.Event()
    with suppress(KeyboardInterrupt):
        live(look, clock, lambda: pause.wait(WATCH_SECONDS))
