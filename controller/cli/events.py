"""`controller events`: print recorded events, oldest first; with `--follow` also new ones as they occur."""

import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from controller.cli import complete, options
from controller.cli.help_pages import Command
from controller.cli.list_output import print_list
from controller.cli.state_access import read_state_if_any, zone_of
from controller.errors import NoStateError
from controller.settings import Location

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from controller.cli.terminal.tables import CompactTable
    from controller.model.status import Event

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
    "--follow",
    "-f",
    "--watch",
    "-w",
    is_flag=True,
    help="Keep printing new events until Ctrl-C; JSON has one object per line.",
)
@click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    default=100,
    show_default=True,
    help="Maximum number of events; the newest are printed.",
)
@options.list_output
@options.location
def events(location: Location, about: str | None, *, follow: bool, limit: int, output: str) -> None:
    """Show events: changes, failures, recoveries, holds.

    Oldest first.
    """
    from controller.store import events as journal
    from controller.store.name_lookup import check_subject

    recorded, last, zone = [], 0, None
    try:
        with read_state_if_any(location) as tx:
            if tx is not None:
                if about is not None:
                    check_subject(tx, about)
                recorded, last = journal.latest(tx, limit, about=about)[::-1], journal.last_number(tx)
        if output in ("text", "wide"):
            zone = zone_of(location, about)
    except NoStateError as error:
        if not follow:
            raise
        if sys.stderr.isatty():  # scripts may start before the controller; they need no notice
            click.echo(f"{error.message} Waiting for a controller to start.", err=True)
    if not follow:
        _print(recorded, output, zone, empty="No events yet." if about is None else f"No events about {about} yet.")
        return
    with suppress(KeyboardInterrupt):
        output = "jsonl" if output == "json" else output
        if recorded or output in ("text", "wide"):
            _print(recorded, output, zone)
        _follow(location, about, last, output, zone)


def _follow(location: Location, about: str | None, last: int, output: str, zone: "tzinfo | None") -> None:
    """Print new events until interrupted; also waits for a state that does not exist yet."""
    from controller.store import events as journal

    pause = threading.Event()
    while True:
        sys.stdout.flush()
        pause.wait(_FOLLOW_SECONDS)
        with suppress(NoStateError), read_state_if_any(location) as tx:
            if tx is not None:
                numbered = journal.after(tx, last, about=about)
                last = max([last, *(number for number, _ in numbered)])
                if numbered:
                    _print([event for _, event in numbered], output, zone, has_titles=False)


def _print(
    entries: "Sequence[Event]",
    output: str,
    zone: "tzinfo | None",
    *,
    empty: str = "",
    has_titles: bool = True,
) -> None:
    def table(is_wide: bool) -> "CompactTable":
        from controller.cli.terminal.event_table import event_table

        return event_table(entries, zone, empty=empty, has_titles=has_titles, is_wide=is_wide)

    print_list(entries, output, lambda event: str(event.about), table)
