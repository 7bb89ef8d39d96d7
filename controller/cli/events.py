"""`controller events`: what happened, oldest first; with `--follow` also what happens."""

import json
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from controller.cli import options
from controller.cli.state_access import read_state_if_any
from controller.errors import NoStateError
from controller.settings import Location

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

    from controller.model.status import Event
    from controller.store import Transaction

_FOLLOW_SECONDS = 0.2


@click.command()
@click.option("--for", "about", metavar="NAME", help="Only about this deployment, or `source`.")
@click.option("--follow", "-f", is_flag=True, help="Go on until Ctrl-C; as JSON one object a line.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="The newest so many.")
@options.output
@options.location
def events(location: Location, about: str | None, *, follow: bool, limit: int, output: str) -> None:
    """Show what happened: what was applied, withheld, held, what failed and what recovered."""
    from controller.store import events as journal
    from controller.store.name_lookup import check_subject

    found, last, zones = [], 0, {}
    try:
        with read_state_if_any(location) as tx:
            if tx is not None:
                if about is not None:
                    check_subject(tx, about)
                found, last = journal.latest(tx, limit, about=about)[::-1], journal.last_number(tx)
                zones = _zones(tx, found)
    except NoStateError as error:
        if not follow:
            raise
        if sys.stderr.isatty():  # a script that starts before the controller has nothing to be warned of
            click.echo(f"{error.message} Waiting for the first.", err=True)
    if output == "json" and not follow:
        from controller.cli.json_output import print_json

        print_json(found)
        return
    _print_each(found, zones, output)
    if not follow:
        return
    with suppress(KeyboardInterrupt):
        _follow(location, about, last, output)


def _follow(location: Location, about: str | None, last: int, output: str) -> None:
    """For ever; also from before there is a state."""
    from controller.store import events as journal

    pause = threading.Event()
    while True:
        sys.stdout.flush()
        pause.wait(_FOLLOW_SECONDS)
        new: list[Event] = []
        zones: dict[str, tzinfo | None] = {}
        with suppress(NoStateError), read_state_if_any(location) as tx:
            if tx is not None:
                found = journal.after(tx, last, about=about)
                last = max([last, *(number for number, _ in found)])
                new = [event for _, event in found]
                zones = _zones(tx, new)
        _print_each(new, zones, output)


def _zones(tx: "Transaction", found: "list[Event]") -> "dict[str, tzinfo | None]":
    """The time zones of what these events are about."""
    from controller.queries.deployment_details import zone_of

    return {about: zone_of(tx, about) for about in {event.about for event in found}}


def _print_each(found: "list[Event]", zones: "Mapping[str, tzinfo | None]", output: str) -> None:
    from controller.cli.json_output import to_json, visible
    from controller.time_format import shown

    for event in found:
        if output == "json":
            click.echo(json.dumps(to_json(event)))
        else:
            time = shown(event.time, zones.get(event.about))
            click.echo(visible(f"{time}  {event.severity:7}  {event.about}  {event.reason}: {event.message}"))
