"""The Textual application: it feeds keys, changes and ticks to the view, and draws the lines that have changed."""

import asyncio
import os
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual import events
from textual.app import App, ComposeResult
from textual.drivers.linux_driver import LinuxDriver
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from controller.cli.live_view.frame import render_frame
from controller.cli.live_view.loader import Loader, ThreadedLoader
from controller.cli.live_view.view import View
from controller.clock import Clock

TICK_SECONDS = 1.0
MakeLoader = Callable[["LiveView"], Loader]


class Terminal(LinuxDriver):
    """The terminal, on standard output. Textual uses standard error, which may be redirected to a file."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        assert sys.__stdout__ is not None
        self._file = sys.__stdout__

    def is_hung_up(self) -> bool:
        """Whether the terminal is gone: its window or its connection was closed."""
        poll = select.poll()
        poll.register(self.fileno, 0)
        return any(events & (select.POLLHUP | select.POLLERR) for _, events in poll.poll(0))


class Lines(Widget):
    """The lines of the screen."""

    DEFAULT_CSS = "Lines { width: 100%; height: 100%; }"

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[Text] = []

    def show(self, lines: list[Text]) -> None:
        """Show these lines, and draw those that differ."""
        before, self.shown = self.shown, lines
        if len(before) != len(lines):
            self.refresh()
            return
        changed = [
            Region(0, row, self.size.width, 1)
            for row, (old, new) in enumerate(zip(before, lines, strict=True))
            if old != new or old.spans != new.spans or old.style != new.style
        ]
        if changed:
            self.refresh(*changed)

    def render_line(self, y: int) -> Strip:
        """Return one line."""
        width = self.size.width
        if y >= len(self.shown):
            return Strip.blank(width, self.rich_style)
        segments = self.shown[y].render(self.app.console)
        return Strip(segments).adjust_cell_length(width).apply_style(self.rich_style)


class LiveView(App[int]):
    """The application. `run()` returns 0 if the user has left it.

    `owner` is a file descriptor that is closed when the controller that started the view ends.
    """

    ENABLE_COMMAND_PALETTE = False
    CSS = "Screen { background: ansi_default; color: ansi_default; } Lines { background: ansi_default; }"
    BINDINGS: ClassVar = []

    def __init__(self, make_loader: MakeLoader, clock: Clock, *, owner: int | None = None) -> None:
        super().__init__(driver_class=Terminal, ansi_color=True)
        self.view = View(
            make_loader(self),
            clock,
            leave=lambda: self.exit(0),
            copy=self.copy_to_clipboard,
            owns_controller=owner is not None,
        )
        self._owner = owner
        self._lines = Lines()

    def compose(self) -> ComposeResult:
        """Return the only widget."""
        yield self._lines

    def on_mount(self) -> None:
        """Start to load, to tick and to listen for signals."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            loop.add_signal_handler(number, self._leave)
        loop.add_signal_handler(signal.SIGTSTP, self._suspend)
        if self._owner is not None:
            loop.add_reader(self._owner, self._lose_owner)
        if isinstance(self.view.loader, ThreadedLoader):
            self.view.loader.start()
            self.view.refresh()
        self.set_interval(TICK_SECONDS, self._tick)
        self.draw()

    def on_unmount(self) -> None:
        """Stop loading."""
        if isinstance(self.view.loader, ThreadedLoader):
            self.view.loader.close()

    def on_resize(self, event: events.Resize) -> None:
        """Use another size."""
        self.view.resize(event.size.width, event.size.height)
        self.draw()

    async def on_event(self, event: events.Event) -> None:
        """Handle keys before Textual does: it has bindings of its own, for example for Ctrl-Q and Ctrl-C."""
        if isinstance(event, events.Key):
            event.stop()
            self.press(event)
        elif isinstance(event, events.Paste):
            self.view.paste(event.text)
            self.draw()
        else:
            await super().on_event(event)

    def press(self, event: events.Key) -> None:
        """Handle a key."""
        if event.key == "ctrl+z":
            self._suspend(is_group=True)
            return
        character = event.character if event.is_printable else None
        self.view.press(character or event.key, character)
        self.draw()

    def draw(self) -> None:
        """Draw what has changed."""
        if self.is_running:
            self._lines.show(render_frame(self.view))

    def on_change(self) -> None:
        """Handle a change of the controller's state."""
        self.view.on_change()

    def on_lost(self, problem: str) -> None:
        """Handle that the controller cannot be reached."""
        self.view.on_lost(problem)

    def on_problem(self, message: str) -> None:
        """Handle that the controller rejected a request."""
        self.view.on_problem(message)

    def _leave(self) -> None:
        """Leave, at once if the terminal is gone: Textual would wait for ever until it has restored it."""
        if isinstance(self._driver, Terminal) and self._driver.is_hung_up():
            os._exit(1)
        self.exit(0)

    def _tick(self) -> None:
        if isinstance(self._driver, Terminal) and self._driver.is_hung_up():
            os._exit(1)
        self.view.on_tick()
        self.draw()

    def _lose_owner(self) -> None:
        """Leave, because the controller has ended. The shell may have taken the terminal back already."""
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        self.exit(0)

    def _suspend(self, *, is_group: bool = False) -> None:
        """Stop the process, and for Ctrl-Z its whole group, until `fg` continues it."""
        with self.suspend():
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            if is_group:
                os.killpg(os.getpgrp(), signal.SIGTSTP)
            else:
                os.kill(os.getpid(), signal.SIGTSTP)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTSTP, self._suspend)
        self.draw()


def show_live_view(state: Path, clock: Clock, *, owner: int | None = None) -> int:
    """Show the view of the controller with this state directory until the user leaves. Return the exit code."""

    def make_loader(app: LiveView) -> Loader:
        def call(function: Callable[[], None]) -> None:
            def run() -> None:
                function()
                app.draw()

            loop = app._loop
            if loop is not None and not loop.is_closed():
                loop.call_soon_threadsafe(run)

        return ThreadedLoader(state, app, call)

    app = LiveView(make_loader, clock, owner=owner)
    code = app.run(mouse=False)
    return 1 if code is None else code
