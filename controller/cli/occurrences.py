"""`controller occurrences`: list the due times of a deployment, each with its run or the reason why it was skipped."""

from typing import TYPE_CHECKING

import click

from controller.cli import complete, options
from controller.cli.help_pages import Command
from controller.cli.list_output import print_list
from controller.cli.state_access import read_state_if_any, zone_of
from controller.clock import SystemClock
from controller.errors import unknown_deployment
from controller.settings import Location

if TYPE_CHECKING:
    from controller.cli.terminal.tables import CompactTable


@click.command(cls=Command)
@click.argument("name", shell_complete=complete.deployments)
@click.option("--since", metavar="TIME", help="Due at or after this time: yesterday, 2h, a date or date-time.")
@click.option("--until", metavar="TIME", help="Due before or at this time: now, 2h, a date or date-time.")
@options.limit(100)
@options.list_output
@options.location
def occurrences(location: Location, name: str, since: str | None, until: str | None, limit: int, output: str) -> None:
    """List the due times of a deployment and their outcomes.

    Newest first; a due time without a run shows why it was skipped.
    """
    from controller.queries.occurrences import list_occurrences

    now = SystemClock().now()
    zone = zone_of(location, name)
    first = None if since is None else options.parse_time_option("--since", since, now, zone)
    last = None if until is None else options.parse_time_option("--until", until, now, zone)
    with read_state_if_any(location) as tx:
        if tx is None:
            raise unknown_deployment(name, ())
        rows = list_occurrences(tx, name, limit, since=first, until=last)
    empty = f"No due times yet. `controller deployments show {name}` shows the schedules."
    if since is not None or until is not None:
        empty = f"No due times in this range. `controller occurrences {name}` shows the newest ones."

    def table(is_wide: bool) -> "CompactTable":
        from controller.cli.terminal.occurrence_table import occurrence_table

        return occurrence_table(rows, zone, empty=empty, is_wide=is_wide)

    print_list(rows, output, lambda row: row.run_id, table)
