"""`controller occurrences`: the ledger. Every due time of a deployment and what became of it."""

import click

from controller.cli import options
from controller.errors import unknown_deployment
from controller.settings import Location


@click.command()
@click.argument("name")
@click.option("--since", metavar="TIME", help="Only due since: yesterday, 2h, a date or date-time.")
@click.option("--until", metavar="TIME", help="Only due until: now, 2h, a date or date-time.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="The newest so many.")
@options.output
@options.location
def occurrences(location: Location, name: str, since: str | None, until: str | None, limit: int, output: str) -> None:
    """The due times of a deployment, newest first: which run each became, or why it was skipped."""
    from controller.cli.state_reading import instant, reading, zone_of
    from controller.clock import SystemClock
    from controller.queries.occurrences import list_occurrences

    now = SystemClock().now()
    zone = zone_of(location, name)
    first = None if since is None else instant("--since", since, now, zone)
    last = None if until is None else instant("--until", until, now, zone)
    with reading(location) as (tx, _):
        if tx is None:
            raise unknown_deployment(name, ())
        found = list_occurrences(tx, name, limit, since=first, until=last)
    if output == "json":
        from controller.cli.json_output import print_json

        print_json(found)
        return
    from controller.cli.terminal.console import show
    from controller.cli.terminal.occurrence_table import occurrence_table

    show(occurrence_table(found, zone))
