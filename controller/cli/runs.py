"""`controller runs`: what ran, how it went, and what it printed."""

import os
import sys
import threading
from collections.abc import Callable
from datetime import tzinfo
from pathlib import Path
from typing import Any

import click

from controller.cli import options, run_actions
from controller.cli.log_output import LogWriter
from controller.cli.state_reading import find, instant, reading, zone_of
from controller.settings import Location, wants_colours

FOLLOW_SECONDS = 0.2
_STATES = [
    "scheduled",
    "pending",
    "running",
    "retrying",
    "succeeded",
    "failed",
    "timed_out",
    "cancelled",
    "crashed",
    "skipped",
]
_TRIGGERS = ["schedule", "manual", "backfill", "retry"]


@click.group(cls=options.ListByDefault)
def runs() -> None:
    """List runs, show one, print its output, end it, do it again."""


@runs.command(name="list")
@click.option("--deployment", metavar="NAME", help="Only of this deployment.")
@click.option("--state", type=options.NearChoice(_STATES), help="Only in this state.")
@click.option("--tag", metavar="TAG", help="Only with this tag.")
@click.option("--trigger", type=options.NearChoice(_TRIGGERS), help="Only of this cause.")
@click.option("--revision", metavar="COMMIT", help="Only of this commit; the beginning of its id will do.")
@click.option("--since", metavar="TIME", help="Only made since: yesterday, 2h, a date or date-time.")
@click.option("--until", metavar="TIME", help="Only made until: now, 2h, a date or date-time.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="The newest so many.")
@options.output
@options.location
def list_(  # noqa: PLR0913
    location: Location,
    deployment: str | None,
    state: str | None,
    tag: str | None,
    trigger: str | None,
    revision: str | None,
    since: str | None,
    until: str | None,
    limit: int,
    output: str,
) -> None:
    """Runs, newest first."""
    from controller.clock import SystemClock
    from controller.model.runs import RunState
    from controller.queries.runs import list_runs, stored_states
    from controller.store.run_search import RunFilter

    now, zone = SystemClock().now(), zone_of(location, deployment)
    wanted = RunFilter(
        deployment=deployment,
        states=None if state is None else stored_states(RunState(state)),
        tag=tag,
        trigger=trigger,
        revision=revision,
        since=None if since is None else instant("--since", since, now, zone),
        until=None if until is None else instant("--until", until, now, zone),
    )
    with reading(location) as (tx, _):
        found = [] if tx is None else list_runs(tx, wanted, now, limit=limit)
        if tx is not None and not found:
            _check_names(tx, deployment, tag)
    if output == "json":
        from controller.cli.json_output import print_json

        print_json(found)
        return
    from controller.cli.terminal.console import show
    from controller.cli.terminal.run_tables import run_table

    show(run_table(found, now, is_filtered=any((deployment, state, tag, trigger, revision, since, until))))


def _check_names(tx: Any, deployment: str | None, tag: str | None) -> None:
    """Raises NotFoundError for a name or tag that explains why no run was found: nothing recorded has it."""
    from controller.store.name_lookup import check_recorded, check_tag

    if deployment is not None:
        check_recorded(tx, deployment)
    if tag is not None:
        check_tag(tx, tag)


@runs.command(name="show")
@click.argument("run_id", metavar="ID")
@options.output
@options.location
def show_(location: Location, run_id: str, output: str) -> None:
    """Everything about one run. A beginning or an end of its id that no other run has will do."""
    from controller.clock import SystemClock

    found = find(location, run_id)[0]
    if output == "json":
        from controller.cli.json_output import print_json

        print_json(found)
        return
    from controller.cli.terminal.console import show
    from controller.cli.terminal.run_tables import run_detail

    show(run_detail(found, SystemClock().now(), zone_of(location, found.deployment)))


@runs.command(name="logs")
@click.argument("run_id", metavar="ID")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run has ended.")
@click.option("--tail", type=click.IntRange(0), metavar="N", help="Only the last N lines.")
@options.location
def logs(location: Location, run_id: str, follow: bool, tail: int | None) -> None:
    """Print what a run has printed.

    In a pipe it is printed as it is. On a terminal colours are shown, unless NO_COLOR is set, and other control
    characters are spelled out.
    """
    run, directory = find(location, run_id)
    writer = LogWriter(sys.stdout.buffer, with_colours=wants_colours())
    printer = _LogPrinter(directory, run.id, tail, writer, zone_of(location, run.deployment))
    try:
        printer.print_logs(is_ended=_ended(location, run.id) if follow else None)
    finally:
        writer.close()


for action in (run_actions.cancel, run_actions.retry, run_actions.watch):
    runs.add_command(action)


class _LogPrinter:
    """Prints the logs of a run's attempts one after the other."""

    def __init__(self, directory: Path, run_id: str, tail: int | None, writer: LogWriter, zone: tzinfo | None) -> None:
        self._directory = directory
        self._run_id = run_id
        self._begins: dict[Path, int] = {}
        self._without_line: set[Path] = set()
        self._offsets: dict[Path, int] = {}
        self._writer = writer
        self._zone = zone
        if tail is not None:
            self._skip_all_but(tail)

    def _skip_all_but(self, lines: int) -> None:
        """See to it that only the last so many lines are printed; those between attempts count, too."""
        from controller.runs.log_files import log_files

        for path in reversed(log_files(self._directory, self._run_id)):
            with path.open("rb") as stream:
                self._begins[path], found = _tail_start(stream, lines)
            lines -= found
            if lines <= 0:
                self._without_line.add(path)
            lines = max(0, lines - 1)

    def print_logs(self, is_ended: Callable[[], bool] | None) -> None:
        """Print what is there; with `is_ended`, go on until it says so."""
        pause = threading.Event()
        while True:
            last = is_ended is None or is_ended()
            self._print_new()
            if last:
                return
            pause.wait(FOLLOW_SECONDS)

    def _print_new(self) -> None:
        from controller.runs.log_files import log_files, separator

        before: Path | None = None
        for path in log_files(self._directory, self._run_id):
            is_new = path not in self._offsets
            if is_new and before is not None and path not in self._without_line:
                self._writer.write(separator(before, path, self._zone))
            before = path
            with path.open("rb") as stream:
                stream.seek(self._begins.get(path, 0) if is_new else self._offsets[path])
                while chunk := stream.read(1 << 16):
                    self._writer.write(chunk)
                self._offsets[path] = stream.tell()


def _tail_start(stream: Any, lines: int) -> tuple[int, int]:
    """The offset at which the last so many lines begin, and how many there are."""
    end = stream.seek(0, os.SEEK_END)
    if lines == 0 or end == 0:
        return int(end), 0
    position, found, is_first = end, 0, True
    while position > 0:
        step = min(1 << 16, position)
        position -= step
        stream.seek(position)
        block = stream.read(step)
        stop = len(block) - 1 if is_first and block.endswith(b"\n") else len(block)
        is_first = False
        while (index := block.rfind(b"\n", 0, stop)) >= 0:
            found += 1
            if found == lines:
                return int(position + index + 1), lines
            stop = index
    return 0, found + 1


def _ended(location: Location, run_id: str) -> Callable[[], bool]:
    from controller.model.runs import RunState
    from controller.queries.runs import find_run

    def is_ended() -> bool:
        with reading(location) as (tx, _):
            return tx is None or RunState(find_run(tx, run_id).state).is_terminal

    return is_ended
