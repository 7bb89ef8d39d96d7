"""`controller backfill`: run past due times that have no run. The running controller creates the runs."""

from datetime import datetime

import click

from controller.cli import options
from controller.settings import Location


@click.command()
@click.argument("name")
@click.option(
    "--from", "since", metavar="TIME", required=True, help="Start of the range: yesterday, 2h, a date or date-time."
)
@click.option(
    "--to", "until", metavar="TIME", required=True, help="End of the range, included: now, 2h, a date or date-time."
)
@click.option(
    "--max",
    "most",
    type=click.IntRange(1, 1000),
    default=100,
    show_default=True,
    help="Maximum number of runs; the latest due times are run.",
)
@click.option("--dry-run", is_flag=True, help="Only print the due times that would be run.")
@options.output
@options.location
def backfill(location: Location, name: str, since: str, until: str, most: int, dry_run: bool, output: str) -> int:
    """Run the due times of a past range that have no run yet.

    The runs start after all other waiting runs, and one after another unless the deployment has `overlap: allow`.
    """
    from controller.cli import state_access
    from controller.cli.json_output import utc
    from controller.cli.options import parse_time_option
    from controller.cli.state_access import zone_of
    from controller.clock import SystemClock

    now, zone = SystemClock().now(), zone_of(location, name)
    first, last = utc(parse_time_option("--from", since, now, zone)), utc(parse_time_option("--to", until, now, zone))
    with state_access.connected_client(location) as client:
        answer = client.backfill(name, first, last, most=most, dry_run=dry_run)
    if output == "json":
        from controller.cli.json_output import print_json

        print_json(answer)
    else:
        from controller.time_format import shown

        times = (shown(datetime.fromisoformat(time), zone, timespec="auto") for time in answer["times"])
        for line in times if dry_run else answer["run_ids"]:
            click.echo(line)
    if answer["already_run"] or answer["left_out"]:
        counts = f"{answer['already_run']} already have a run; {answer['left_out']} earlier ones were left out"
        click.echo(f"{counts} (--max {most}).", err=True)
    return 0
