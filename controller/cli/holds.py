"""`controller hold` and `controller resume`: an operator's word that schedules do not fire, beside what git says."""

from datetime import datetime
from typing import TYPE_CHECKING

import click

from controller.cli import options, state
from controller.errors import UsageError
from controller.settings import Location

if TYPE_CHECKING:
    from controller.client.shapes import DeploymentDetail


@click.command()
@click.argument("name")
@click.option("--reason", metavar="TEXT", required=True, help="Why; shown wherever the deployment is.")
@click.option("--until", metavar="TIME", help="When it ends by itself: a date-time, or a duration like 2h.")
@options.output
@options.location
def hold(location: Location, name: str, reason: str, until: str | None, output: str) -> None:
    """Hold a deployment: its schedules do not fire until it is resumed. What git says does not change.

    Runs that are under way finish, and `controller trigger` still works.
    """
    from controller.clock import SystemClock

    end = None if until is None else _end(until, SystemClock().now())
    limit = None if end is None else end.isoformat()
    with state.asking(location) as client:
        found = client.hold(name, reason, limit)
    _show(found, output)


@click.command()
@click.argument("name")
@options.output
@options.location
def resume(location: Location, name: str, output: str) -> None:
    """End the hold of a deployment. What fell due meanwhile follows its catch-up policy."""
    with state.asking(location) as client:
        found = client.resume(name)
    _show(found, output)


def _show(found: "DeploymentDetail", output: str) -> None:
    hold = found["hold"]
    if output == "json":
        from controller.cli.output import print_json

        print_json(found)
    elif hold is None:
        click.echo(f"{found['name']} is not held any more.")
    elif hold["until"] is None:
        click.echo(f"{found['name']} is held.")
    else:
        until = datetime.fromisoformat(hold["until"]).astimezone()
        click.echo(f"{found['name']} is held until {until.isoformat(sep=' ', timespec='seconds')}.")


def _end(text: str, now: datetime) -> datetime:
    from controller.calendar import parse_duration, parse_time
    from controller.clock import in_utc
    from controller.errors import ScheduleError

    try:
        return now + parse_duration(text)
    except (ScheduleError, OverflowError):
        pass
    try:
        return in_utc(parse_time(text))
    except ScheduleError as error:
        raise UsageError(f"--until {text!r} is neither a date-time nor a duration like 2h.") from error
