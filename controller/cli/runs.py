"""`controller runs`: list runs, show one run, print its output; the actions on a run are in `cli.run_actions`."""

import re
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from controller.cli import complete, options, run_actions
from controller.cli.json_output import print_json, to_json
from controller.cli.list_output import print_list, watch_list
from controller.cli.log_output import LogWriter, MatchingLines
from controller.cli.log_printer import LogOptions, LogPrinter, stamp_width
from controller.cli.state_access import check_names, get_run, read_state_if_any, zone_of, zones_of
from controller.clock import SystemClock
from controller.errors import NotFoundError, UsageError
from controller.settings import Location, wants_colours
from controller.text import format_count

if TYPE_CHECKING:
    from controller.cli.terminal.tables import CompactTable
    from controller.model.runs import Run, RunDetail

_STATES = [
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
_REVISION = re.compile(r"[0-9a-f]+|.*:.*")
_TRIGGERS = ["schedule", "manual", "backfill", "retry", "upstream", "file", "webhook"]


@click.group(cls=options.ListByDefault)
def runs() -> None:
    """List, show, follow, cancel or retry runs, or print logs."""


@runs.command(name="list")
@click.option("--deployment", metavar="NAME", help="Filter by deployment.", shell_complete=complete.deployments)
@click.option("--state", type=options.NearChoice(_STATES, unlisted=["scheduled"]), help="Filter by state.")
@click.option("--tag", metavar="TAG", help="Filter by tag.", shell_complete=complete.tags)
@click.option("--trigger", type=options.NearChoice(_TRIGGERS), help="Filter by trigger.")
@click.option("--revision", metavar="COMMIT", help="Filter by commit; an abbreviated id is enough.")
@click.option("--since", metavar="TIME", help="Created at or after this time: yesterday, 2h, a date or date-time.")
@click.option("--until", metavar="TIME", help="Created before or at this time: now, 2h, a date or date-time.")
@click.option(
    "--backfill",
    metavar="ID",
    help="Filter by backfill; an abbreviated id is enough.",
    shell_complete=complete.backfills,
)
@options.limit(50)
@options.watch
@options.list_output
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
    backfill: str | None,
    limit: int,
    watch: bool,
    output: str,
) -> None:
    """List runs, newest first."""
    from controller.model.runs import RunState
    from controller.queries.backfills import find_backfill
    from controller.queries.runs import list_runs, stored_states
    from controller.store.run_search import RunFilter

    clock = SystemClock()
    now = clock.now()
    zone = None if since is None and until is None else zone_of(location, deployment)
    run_filter = RunFilter(
        deployment=deployment,
        states=None if state is None else stored_states(RunState(state)),
        tag=tag,
        trigger=trigger,
        revision=revision,
        since=None if since is None else options.parse_time_option("--since", since, now, zone),
        until=None if until is None else options.parse_time_option("--until", until, now, zone),
    )
    with read_state_if_any(location) as tx:
        if tx is not None and backfill is not None:
            run_filter = replace(run_filter, backfill=find_backfill(tx, backfill).id)
        rows = [] if tx is None else list_runs(tx, run_filter, now, limit=limit)
        if tx is not None and not rows:
            check_names(tx, deployment, tag)
            _check_revision(revision)

    def read() -> "Sequence[Run]":
        with read_state_if_any(location) as tx:
            return [] if tx is None else list_runs(tx, run_filter, clock.now(), limit=limit)

    def table(rows: "Sequence[Run]", is_wide: bool) -> "CompactTable":
        from controller.cli.terminal.run_tables import run_table

        is_filtered = any((deployment, state, tag, trigger, revision, since, until, backfill))
        return run_table(rows, clock.now(), zones_of(location), is_filtered=is_filtered, is_wide=is_wide)

    if watch:
        watch_list(read, output, lambda row: str(row.id), table)
    else:
        print_list(rows, output, lambda row: str(row.id), lambda is_wide: table(rows, is_wide))


@runs.command(name="show")
@click.argument("run_id", metavar="ID", shell_complete=complete.runs)
@options.output
@options.location
def show_(location: Location, run_id: str, output: str) -> None:
    """Show the details of one run.

    ID may be abbreviated to a unique beginning or end of the run's id.
    """
    run = get_run(location, run_id)[0]
    if output == "json":  # as in `runs list`, and with the author, if there is one
        left_out = ("history", "commit", *(() if run.author else ("author",)))
        print_json({key: value for key, value in to_json(run).items() if key not in left_out})
        return
    from controller.cli.terminal.console import show
    from controller.cli.terminal.run_tables import run_detail

    show(run_detail(run, SystemClock().now(), zone_of(location, run.deployment)))


@runs.command(name="open")
@click.argument("run_id", metavar="ID", shell_complete=complete.runs)
@options.location
def open_(location: Location, run_id: str) -> None:
    """Open the page of a run in a browser.

    Prints its URL, too. The running controller must serve the dashboard. ID may be abbreviated, as for `controller runs
    show`.
    """
    from controller.cli.open_page import open_page

    open_page(location, f"/runs/{get_run(location, run_id)[0].id}")


@runs.command(name="logs")
@click.argument("run_id", metavar="ID", shell_complete=complete.runs)
@click.option("-f", "--follow", is_flag=True, help="Keep printing until the run finishes.")
@click.option("--tail", type=click.IntRange(0), metavar="N", help="Print only the last N lines.")
@click.option("--attempt", type=click.IntRange(1), metavar="N", help="Print only the output of this attempt.")
@click.option(
    "--grep", metavar="REGEX", help="Print only lines that match; with --tail, only those of the last N lines."
)
@click.option("-t", "--timestamps", is_flag=True, help="Begin each line with the time at which it was printed.")
@click.option("--since", metavar="TIME", help="Print only lines printed at or after this time: 5m, 2h, a date-time.")
@options.location
def logs(
    location: Location,
    run_id: str,
    follow: bool,
    tail: int | None,
    attempt: int | None,
    grep: str | None,
    timestamps: bool,
    since: str | None,
) -> None:
    """Print the output of a run.

    In a pipe, the output is unchanged. On a terminal, colours are shown unless NO_COLOR is set, and other control
    characters are escaped.
    """
    run, directory = get_run(location, run_id)
    if attempt is not None and attempt > run.attempt and not (follow and attempt <= run.attempts):
        raise NotFoundError(f"Run {run.id} has had {format_count(run.attempt, 'attempt')}.")
    _check_place(run, directory)
    output = LogWriter(sys.stdout.buffer, with_colours=wants_colours())
    zone = zone_of(location, run.deployment)
    width = stamp_width(zone) if timestamps else 0
    writer = output if grep is None else MatchingLines(output, _compile(grep), stamp_width=width)
    start = None if since is None else options.parse_time_option("--since", since, SystemClock().now(), zone)
    selection = LogOptions(attempt=attempt, since=start, tail=tail, with_times=timestamps)
    printer = LogPrinter(directory, run.id, writer, zone, run.attempts, selection)
    try:
        printer.print_logs(is_ended=_end_check(location, run.id) if follow else None)
    finally:
        writer.close()


for action in (run_actions.cancel, run_actions.retry, run_actions.watch):
    runs.add_command(action)


def _check_revision(revision: str | None) -> None:
    """Raise UsageError for a branch or another name, which no run is recorded with."""
    if revision is not None and _REVISION.fullmatch(revision) is None:
        hint = f"`git rev-parse {revision}` prints the id of a branch or tag."
        raise UsageError(f"--revision {revision!r} is not the id of a commit.", hint=hint)


def _check_place(run: "RunDetail", directory: Path) -> None:
    """Raise NotFoundError if another controller, which shares the state, has the files of the run."""
    place = run.history[-1].place if run.history else None
    if place is None or (directory / run.id).exists():
        return
    from controller.model.hosts import directory_of, host_of

    state_dir = shlex.quote(str(Path(directory_of(place)).parent))
    raise NotFoundError(
        f"The log of run {run.id} is not in {directory}.",
        hint=f"It is on host {host_of(place)}: use --state-dir {state_dir} there, or open the run in the dashboard.",
    )


def _compile(grep: str) -> "re.Pattern[str]":
    try:
        return re.compile(grep)
    except re.error as error:
        raise UsageError(f"--grep {grep!r} is not a regular expression: {error}.") from error


def _end_check(location: Location, run_id: str) -> Callable[[], bool]:
    from controller.model.runs import RunState
    from controller.queries.runs import find_run

    def is_ended() -> bool:
        with read_state_if_any(location) as tx:
            return tx is None or RunState(find_run(tx, run_id).state).is_terminal

    return is_ended
