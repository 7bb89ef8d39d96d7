"""The status view, drawn anew until something says stop. Used by `run` on a terminal and by `status --watch`."""

import threading
from collections.abc import Callable
from contextlib import suppress

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
    with Live(console=screen, screen=True, auto_refresh=False) as frame:
        while True:
            try:
                frame.update(render_status(look(), clock.now(), rows=screen.height), refresh=True)
            except ControllerError as error:
                frame.update(Text(error.message), refresh=True)
            if is_over():
                return


def watch(look: Callable[[], StatusView], clock: Clock) -> None:
    """Draw until Ctrl-C."""
    pause = threading.Event()
    with suppress(KeyboardInterrupt):
        live(look, clock, lambda: pause.wait(WATCH_SECONDS))
