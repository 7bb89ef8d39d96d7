"""`controller events`: print recorded events, oldest first; with `--follow` also new ones as they occur."""

import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import click

from controller.cli import complete, options
from controller.cli.help_pages import Command
from controller.cli.list_output import print_list
from controller.cli.state_access import read_state_if_any, zone_of, zones_of
from controller.errors import NoStateError, NotFoundError, StateError
from controller.settings import Location
from controller.time_format import ZoneOf

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from controller.cli.terminal.tables import CompactTable
    from controller.model.status import NumberedEvent
    from controller.store import Transaction
    from controller.store.events import EventFilter

_FOLLOW_SECONDS = 0.2
_BATCH = 500


@click.command(cls=Command)
@click.option(
    "--for",
    "about",
    metavar="NAME|ID",
    help="Only events of this deployment, of `source`, or of the run with this id.",
    shell_complete=complete.subjects,
)
@click.option("--severity", type=click.Choice(["info", "warning", "error"]), help="Filter by severity.")
@click.option(
    "--run", "run_id", metavar="ID", help="Filter by run; an abbreviated id is enough.", shell_complete=complete.runs
)
@click.option("--tag", metavar="TAG", help="Filter by tag of the deployment.", shell_complete=complete.tags)
@click.option("--reason", metavar="REASON", help="Filter by reason, such as RunFailed.")
@click.option(
    "--after-id",
    type=click.IntRange(0),
    metavar="N",
    help="Only events after the event with this id, the oldest ones first.",
)
@click.option(
    "--follow",
    "-f",
    "--watch",
    "-w",
    is_flag=True,
    help="Keep printing new events until Ctrl-C; JSON has one object per line.",
)
@options.limit(
    100, "Maximum number of events: the newest ones, with --after-id the oldest ones. --follow continues after them."
)
@options.list_output
@options.location
def events(
    location: Location,
    about: str | None,
    *,
    after_id: int | None,
    follow: bool,
    limit: int,
    output: str,
    **filters: Any,
) -> None:
    """Show events: changes, failures, recoveries, holds.

    Oldest first. Each event has an id, and later events have higher ones. To resume, pass the id of the last event
    that you have read to --after-id: no event is repeated, and none is missed. Deleted events are reported.
    """
    reader = _Reader(about=about, filters=filters, limit=limit, after_id=after_id, is_following=follow)
    recorded, zone = [], None
    try:
        with read_state_if_any(location) as tx:
            if tx is not None:
                recorded = reader.read(tx)
        if output in ("text", "wide"):
            zone = zone_of(location, about if reader.run_id is None else None)
    except NoStateError as error:
        if not follow:
            raise
        if sys.stderr.isatty():  # scripts may start before the controller; they need no notice
            click.echo(f"{error.message} Waiting for a controller to start.", err=True)
    if not follow:
        _print(recorded, output, zone, zones_of(location), empty=reader.empty)
        return
    reader.begin()
    with suppress(KeyboardInterrupt):
        output = "jsonl" if output == "json" else output
        if recorded or output in ("text", "wide"):
            _print(recorded, output, zone, zones_of(location))
        _follow(location, reader, output, zone)


def _follow(location: Location, reader: "_Reader", output: str, zone: "tzinfo | None") -> None:
    """Print new events until interrupted; also waits for a state that does not exist yet."""
    pause = threading.Event()
    recorded: list[NumberedEvent] = []
    changes = _Changes(location)
    while True:
        sys.stdout.flush()
        if len(recorded) < _BATCH:
            pause.wait(_FOLLOW_SECONDS)
        if not recorded and not changes.may_exist():
            continue
        recorded = []
        with suppress(NoStateError), read_state_if_any(location) as tx:
            if tx is not None:
                recorded = reader.read(tx)
        if recorded:
            _print(recorded, output, zone, zones_of(location), has_titles=False)


class _Changes:
    """The commits to a state on a server, which announces them, so that waiting for events does not ask it."""

    def __init__(self, location: Location) -> None:
        from controller.store.commit_counter import CommitListener

        self._listener = None if location.state_url is None else CommitListener(location.state_url)
        self._stamp: int | None = None

    def may_exist(self) -> bool:
        """Return whether something may have been committed since the last call."""
        if self._listener is None:
            return True
        last = self._stamp
        with suppress(StateError):  # reading the state says what is wrong
            self._stamp = self._listener.stamp()
            return self._stamp != last
        self._stamp = None
        return True


@dataclass(slots=True, kw_only=True)
class _Reader:
    """Reads events in the order of their numbers, each once: first the recorded ones, then those after them."""

    about: str | None
    filters: Mapping[str, Any]
    limit: int
    after_id: int | None
    is_following: bool
    run_id: str | None = None
    """The full id of the run, if the events of one are read."""
    _criteria: "EventFilter | None" = None
    _last: int | None = field(init=False)

    def __post_init__(self) -> None:
        self._last = self.after_id

    @property
    def empty(self) -> str:
        """The text instead of a list without events."""
        if self.after_id is not None or any(self.filters.values()):
            return "No events match."
        return "No events yet." if self.about is None else f"No events about {self.about} yet."

    def read(self, tx: "Transaction") -> "list[NumberedEvent]":
        """Return the next events. Raises NotFoundError for a deployment, a run or a tag that does not exist."""
        from controller.queries.events import events_after, find_gap, list_events
        from controller.store import events as journal

        if self._criteria is None:
            self._criteria = self._find_criteria(tx)
        newest = journal.last_number(tx)
        if self._last is None:
            self._last = newest
            return list_events(tx, self._criteria)[::-1]
        gap = None if self._last == newest else find_gap(tx, self._last)
        if gap is not None:
            click.echo(f"warning: {gap}", err=True)
            self._last = min(self._last, newest)
        limit = _BATCH if self.is_following else self.limit
        recorded = events_after(tx, self._last, replace(self._criteria, limit=limit))
        self._last = recorded[-1].id if len(recorded) == limit else max(self._last, newest)
        return recorded

    def begin(self) -> None:
        """Read the first event too: there was no state yet."""
        self._last = 0 if self._last is None else self._last

    def _find_criteria(self, tx: "Transaction") -> "EventFilter":
        from controller.model.status import EventSeverity
        from controller.queries.runs import find_run
        from controller.store.events import EventFilter
        from controller.store.name_lookup import check_subject, check_tag

        about, run_id = self.about, self.filters["run_id"]
        if about is not None:
            try:
                check_subject(tx, about)
            except NotFoundError:
                if run_id is not None or not set(about) <= set("0123456789abcdef-"):
                    raise
                about, run_id = None, about
        if self.filters["tag"] is not None:
            check_tag(tx, self.filters["tag"])
        self.run_id = None if run_id is None else str(find_run(tx, run_id).id)
        severity = self.filters["severity"]
        return EventFilter(
            limit=self.limit,
            about=about,
            severity=None if severity is None else EventSeverity(severity),
            run_id=self.run_id,
            tag=self.filters["tag"],
            reason=self.filters["reason"],
        )


def _print(
    entries: "Sequence[NumberedEvent]",
    output: str,
    zone: "tzinfo | None",
    zone_of: ZoneOf,
    *,
    empty: str = "",
    has_titles: bool = True,
) -> None:
    def table(is_wide: bool) -> "CompactTable":
        from controller.cli.terminal.event_table import event_table

        return event_table(entries, zone, zone_of=zone_of, empty=empty, has_titles=has_titles, is_wide=is_wide)

    print_list(entries, output, lambda event: str(event.about), table)
