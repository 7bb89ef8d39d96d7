"""`controller hold` and `controller resume`: pause what starts runs of a deployment without a commit, and resume it."""

from datetime import datetime
from typing import TYPE_CHECKING

import click

from controller.cli import complete, options, state_access
from controller.cli.help_pages import Command
from controller.settings import Location

if TYPE_CHECKING:
    from controller.client.shapes import DeploymentDetail


@click.command(cls=Command)
@click.argument("name", shell_complete=complete.deployments)
@click.option("--reason", metavar="TEXT", required=True, help="Reason for the hold, shown with the deployment.")
@click.option(
    "--until", metavar="TIME", help="End the hold automatically at this time: tomorrow, 2h, a date or date-time."
)
@options.output
@options.location
def hold(location: Location, name: str, reason: str, until: str | None, output: str) -> None:
    """Hold a deployment: nothing starts its runs until you resume it.

    Its schedules do not fire, and files, webhooks and upstream runs start no runs. Its manifest does not change. Runs
    in progress finish, and `controller trigger` still works.
    """
    from controller.cli.options import parse_time_option
    from controller.cli.state_access import zone_of
    from controller.clock import SystemClock

    end = None
    if until is not None:
        end = parse_time_option("--until", until, SystemClock().now(), zone_of(location, name), sign=1)
    limit = None if end is None else end.isoformat()
    with state_access.connected_client(location) as client:
        deployment = client.hold(name, reason, limit)
    _print_hold(deployment, output)


@click.command(cls=Command)
@click.argument("name", shell_complete=complete.deployments)
@options.output
@options.location
def resume(location: Location, name: str, output: str) -> None:
    """End the hold of a deployment.

    The catch-up policy decides which of the due times missed during the hold still run.
    """
    with state_access.connected_client(location) as client:
        deployment = client.resume(name)
    _print_hold(deployment, output)


def _print_hold(deployment: "DeploymentDetail", output: str) -> None:
    hold = deployment["hold"]
    if output == "json":
        from controller.cli.json_output import print_json

        print_json(deployment)
    elif hold is None:
        click.echo(f"{deployment['name']} is no longer held.")
    elif hold["until"] is None:
        click.echo(f"{deployment['name']} is held.")
    else:
        from controller.schedules import shared_zone
        from controller.time_format import format_time

        zone = shared_zone(schedule["timezone"] for schedule in deployment["schedules"])
        click.echo(f"{deployment['name']} is held until {format_time(datetime.fromisoformat(hold['until']), zone)}.")
