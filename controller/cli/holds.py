"""`controller hold` and `controller resume`: an operator's word that schedules do not fire, beside what git says."""

from datetime import datetime

import click

from controller.cli import options, state
from controller.errors import UsageError
from controller.settings import Location


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
    state.ask(location, {"command": "hold", "deployment": name, "reason": reason, "until": limit})
    _show(location, name, output)


@click.command()
@click.argument("name")
@options.output
@options.location
def resume(location: Location, name: str, output: str) -> None:
    """End the hold of a deployment. What fell due meanwhile follows its catch-up policy."""
    state.ask(location, {"command": "resume", "deployment": name})
    _show(location, name, output)


def _show(location: Location, name: str, output: str) -> None:
    from controller.clock import SystemClock
    from controller.views.details import show_deployment

    with state.looking(location) as tx:
        found = show_deployment(tx, name, SystemClock().now())
    if output == "json":
        from controller.cli.output import print_json

        print_json(found)
    elif found.hold is None:
        click.echo(f"{name} is not held any more.")
    else:
        until = (
            ""
            if found.hold.until is None
            else f" until {found.hold.until.astimezone().isoformat(sep=' ', timespec='seconds')}"
        )
        click.echo(f"{name} is held{until}.")


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
