"""`controller events`: print recorded events, oldest first; with `--follow` also new ones as they occur."""

import json
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from controller.cli import complete, options
from controller.cli.help_pages import Command
from controller.cli.json_output import print_json, to_json
from controller.cli.state_access import read_state_if_any
from controller.errors import NoStateError
from controller.settings import Location
from controller.text import visible_lines
from controller.time_format import format_time

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

    from controller.model.status import Event
    from controller.store import Transaction

_FOLLOW_SECONDS = 0.2


@click.command(cls=Command)
@click.option(
    "--for",
    "about",
    metavar="NAME",
    help="Only events of this deployment, or of `source`.",
    shell_complete=complete.subjects,
)
@click.option(
    "--follow", "-f", is_flag=True, help="Keep printing new events until Ctrl-C; JSON has one object per line."
)
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="Maximum number of events; the newest are printed.",
)
@options.output
@options.location
def events(location: Location, about: str | None, *, follow: bool, limit: int, output: str) -> None:
    """Show events: changes, failures, recoveries, holds.

    Oldest first.
    """
    from controller.store import events as journal
    from controller.store.name_lookup import check_subject

    recorded, last, zones = [], 0, {}
    try:
        with read_state_if_any(location) as tx:
            if tx is not None:
                if about is not None:
                    check_subject(tx, about)
                recorded, last = journal.latest(tx, limit, about=about)[::-1], journal.last_number(tx)
                zones = {} if output == "json" else _zones(tx, recorded)
    except NoStateError as error:
        if not follow:
            raise
        if sys.stderr.isatty():  # scripts may start before the controller; they need no notice
            click.echo(f"{error.message} Waiting for a controller to start.", err=True)
    if output == "json" and not follow:
        print_json(recorded)
        return
    if not follow:
        _print_each(recorded, zones, output)
        return
    with suppress(KeyboardInterrupt):
        _print_each(recorded, zones, output)
        _follow(location, about, last, output)


def _follow(location: Location, about: str | None, last: int, output: str) -> None:
    """Print new events until interrupted; also waits for a state that does not exist yet."""
    from controller.store import events as journal

    pause = threading.Event()
    while True:
        sys.stdout.flush()
        pause.wait(_FOLLOW_SECONDS)
        new: list[Event] = []
        zones: dict[str, tzinfo | None] = {}
        with suppress(NoStateError), read_state_if_any(location) as tx:
            if tx is not None:
                numbered = journal.after(tx, last, about=about)
                last = max([last, *(number for number, _ in numbered)])
                new = [event for _, event in numbered]
                zones = {} if output == "json" else _zones(tx, new)
        _print_each(new, zones, output)


def _zones(tx: "Transaction", entries: "list[Event]") -> "dict[str, tzinfo | None]":
    """Return the time zone of each deployment that these events are about."""
    from controller.queries.deployment_details import zone_of

    return {about: zone_of(tx, about) for about in {event.about for event in entries}}


def _print_each(entries: "list[Event]", zones: "Mapping[str, tzinfo | None]", output: str) -> None:

    for event in entries:
        if output == "json":
            click.echo(json.dumps(to_json(event)))
        else:
            time = format_time(event.time, zones.get(event.about))
            click.echo(visible_lines(f"{time}  {event.severity:7}  {event.about}  {event.reason}: {event.message}"))
