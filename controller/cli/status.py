"""`controller status`: show the state of everything, once or live."""

import json
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from controller.cli import options
from controller.cli.help_pages import Command
from controller.cli.json_output import print_json, to_json
from controller.clock import Clock, SystemClock
from controller.settings import Location

if TYPE_CHECKING:
    from controller.queries.status import StatusView

WATCH_SECONDS = 1.0


@click.command(cls=Command)
@click.option("--watch", is_flag=True, help="Keep the view up to date until Ctrl-C.")
@options.output
@options.location
def status(location: Location, watch: bool, output: str) -> None:
    """Show the source, deployments, recent runs and events.

    Deployments with problems come first.
    """
    from controller.queries.status import read_status
    from controller.settings import has_screen

    clock = SystemClock()
    if watch and output == "text" and sys.stdout.isatty() and has_screen():
        from controller.cli.terminal.live_view import watch_status

        watch_status(lambda: read_status(location, clock.now()), clock)
        return
    if watch:
        _print_changes(lambda: read_status(location, clock.now()), clock, output)
        return
    view = read_status(location, clock.now())
    if output == "json":
        print_json(view)
        return
    from controller.cli.terminal.console import show
    from controller.cli.terminal.status_view import render_status

    show(render_status(view, clock.now()))


def _print_changes(read_status: "Callable[[], StatusView]", clock: "Clock", output: str) -> None:
    """Print the status whenever it changes, for output that is not a terminal; as JSON, one object per line."""
    from controller.cli.terminal.console import show
    from controller.cli.terminal.status_view import render_status

    previous, pause = "", threading.Event()
    with suppress(KeyboardInterrupt):
        while True:
            view = read_status()
            current = json.dumps(to_json(view))
            if current != previous and output == "json":
                click.echo(current)
            elif current != previous:
                show(render_status(view, clock.now()))
            sys.stdout.flush()
            previous = current
            pause.wait(WATCH_SECONDS)
