"""`controller status` and `controller top`: show the state of everything, once or live."""

import json
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from controller.cli import options
from controller.cli.help_pages import Command
from controller.cli.json_output import print_json, to_json
from controller.cli.standard_streams import can_show_live_view, has_screen
from controller.clock import Clock, SystemClock
from controller.settings import Location

if TYPE_CHECKING:
    from controller.queries.status import StatusView

WATCH_SECONDS = 1.0


@click.command(cls=Command)
@click.option("--watch", is_flag=True, help="Keep the view up to date until Ctrl-C.")
@click.option("--plain", is_flag=True, help="With --watch: redraw the report instead of opening the live view.")
@options.output
@options.location
def status(location: Location, watch: bool, plain: bool, output: str) -> None:
    """Show the source, deployments, recent runs and events.

    Deployments with problems come first. On a terminal, --watch opens the live view, which takes keys.
    """
    clock = SystemClock()
    if watch:
        _watch(location, clock, output, is_plain=plain)
        return
    view = _read(location, clock)
    if output == "json":
        print_json(view)
        return
    from controller.cli.terminal.console import show
    from controller.cli.terminal.status_view import render_status

    show(render_status(view, clock.now()))


@click.command(cls=Command)
@click.option("--plain", is_flag=True, help="Redraw the report instead of opening the live view.")
@options.output
@options.location
def top(location: Location, plain: bool, output: str) -> None:
    """Open the live view: same as status --watch.

    In a pipe, it prints the status after each change.
    """
    _watch(location, SystemClock(), output, is_plain=plain)


def _watch(location: Location, clock: Clock, output: str, *, is_plain: bool) -> None:
    if output == "text" and has_screen():
        _watch_on_terminal(location, clock, is_plain=is_plain)
    else:
        _print_changes(lambda: _read(location, clock), clock, output)


def _read(location: Location, clock: Clock) -> "StatusView":
    """Read the status, and ask a standby what only its process knows. Raises StateError, UsageError."""
    from controller.queries.status import read_status

    view = read_status(location, clock.now())
    if view.leadership is None:
        return view
    from controller.cli.standing import complete
    from controller.store.state_directory import StateDirectory

    return replace(view, leadership=complete(view.leadership, StateDirectory.at(location)))


def _watch_on_terminal(location: Location, clock: Clock, *, is_plain: bool) -> None:
    """Open the live view, or redraw the report. Raises StateError, UsageError."""
    if is_plain or not can_show_live_view():
        from controller.cli.terminal.live_report import watch_status

        watch_status(lambda: _read(location, clock), clock)
        return
    from controller.cli.live_view.app import show_live_view
    from controller.store.access_check import check_access, check_owner
    from controller.store.state_directory import StateDirectory

    check_access(location)
    check_owner(location)
    show_live_view(StateDirectory.at(location).path, clock)


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
