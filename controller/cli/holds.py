"""`controller hold` and `controller resume`: an operator's word that schedules do not fire, beside what git says."""

from datetime import datetime
from typing import TYPE_CHECKING

import click

from controller.cli import options, state_access
from controller.settings import Location

if TYPE_CHECKING:
    from controller.client.shapes import DeploymentDetail


@click.command()
@click.argument("name")
@click.option("--reason", metavar="TEXT", required=True, help="Why; shown wherever the deployment is.")
@click.option("--until", metavar="TIME", help="When it ends by itself: tomorrow, 2h, a date or date-time.")
@options.output
@options.location
def hold(location: Location, name: str, reason: str, until: str | None, output: str) -> None:
    """Hold a deployment: its schedules do not fire until it is resumed. What git says does not change.

    Runs that are under way finish, and `controller trigger` still works.
    """
    from controller.cli.state_reading import instant, zone_of
    from controller.clock import SystemClock

    end = None
    if until is not None:
        end = instant("--until", until, SystemClock().now(), zone_of(location, name), sign=1)
    limit = None if end is None else end.isoformat()
    with state_access.connected_client(location) as client:
        found = client.hold(name, reason, limit)
    _show(found, output)


@click.command()
@click.argument("name")
@options.output
@options.location
def resume(location: Location, name: str, output: str) -> None:
    """End the hold of a deployment. What fell due meanwhile follows its catch-up policy."""
    with state_access.connected_client(location) as client:
        found = client.resume(name)
    _show(found, output)


def _show(found: "DeploymentDetail", output: str) -> None:
    hold = found["hold"]
    if output == "json":
        from controller.cli.json_output import print_json

        print_json(found)
    elif hold is None:
        click.echo(f"{found['name']} is not held any more.")
    elif hold["until"] is None:
        click.echo(f"{found['name']} is held.")
    else:
        from controller.schedules import shared_zone
        from controller.time_format import shown

        zone = shared_zone(schedule["timezone"] for schedule in found["schedules"])
        click.echo(f"{found['name']} is held until {shown(datetime.fromisoformat(hold['until']), zone)}.")
