"""`controller next`: when does it fire? Of a deployment or of an expression; needs no running controller."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import click
from click.core import ParameterSource

from controller.cli import options, state_access
from controller.errors import NoStateError, UsageError
from controller.settings import Location


@click.command(name="next")
@click.argument("name", required=False)
@click.option("--cron", metavar="EXPR", help="A crontab(5) expression.")
@click.option("--interval", metavar="DURATION", help="Like 90s, 15m, 1h30m, 2d, PT15M or seconds.")
@click.option("--rrule", metavar="RULE", help="An RFC 5545 rule or rule set.")
@click.option("--at", metavar="TIME", multiple=True, help="A date-time; repeatable.")
@click.option("--timezone", metavar="ZONE", default="UTC", show_default=True, help="The zone of an expression.")
@click.option("--day-or/--no-day-or", default=True, help="Whether day-of-month and day-of-week are alternatives.")
@click.option("--anchor-date", metavar="TIME", help="What an interval is counted from.")
@click.option("--gap", type=click.Choice(["next_valid", "skip", "shift"]), default="next_valid", show_default=True)
@click.option("--repeat", type=click.Choice(["first", "second", "both"]), default="first", show_default=True)
@click.option("-n", "count", type=click.IntRange(1, 10000), default=10, show_default=True, help="How many.")
@click.option(
    "--after",
    metavar="TIME",
    help="Fire times strictly after this: now, tomorrow, 2h ago, a date, a date-time. [default: now]",
)
@options.output
@options.location
def next_(location: Location, name: str | None, count: int, after: str | None, output: str, **expression: Any) -> None:
    """Print the next fire times of a deployment, or of one of --cron, --interval, --rrule, --at."""
    given = [kind for kind in ("cron", "interval", "rrule", "at") if expression[kind] not in (None, ())]
    if (name is not None) + len(given) != 1:
        raise UsageError("Name a deployment, or give exactly one of --cron, --interval, --rrule, --at.")
    _refuse_idle(given, expression)
    if name is None:
        _print(*_of_expression(given[0], expression, after, count), output)
    else:
        asked = click.get_current_context().get_parameter_source("timezone")
        named = expression["timezone"] if asked is not ParameterSource.DEFAULT else None
        _print(*_of_deployment(location, name, after, named, count), output)


def _refuse_idle(given: list[str], expression: dict[str, Any]) -> None:
    """Raises UsageError for an option that would change nothing here."""
    if expression["anchor_date"] is not None and given != ["interval"]:
        raise UsageError("--anchor-date goes with --interval only.")
    if not expression["day_or"] and given != ["cron"]:
        raise UsageError("--no-day-or goes with --cron only.")
    for option, usual in (("gap", "next_valid"), ("repeat", "first")):
        if expression[option] != usual and not given:
            raise UsageError(f"--{option} goes with an expression: a deployment says it in the file, under dst.")


def _of_deployment(
    location: Location, name: str, after: str | None, named: str | None, count: int
) -> tuple[list[datetime], tzinfo | None]:
    """What is in force comes first; where no controller has run yet, or where one is named, what is declared there.

    The times are shown in the zone `named`, else in the schedules' one zone, else in the machine's. A local time in
    `after` is one of the first two, else UTC.
    """
    from controller.cli.manifest_files import Target, read_targets
    from controller.queries.deployment_details import common_zone, declared_fire_times, fire_times, zone_of
    from controller.schedules import zone

    asked = None if named is None else zone(named)
    if location.ref is None and location.environment is None:
        with suppress(NoStateError), state_access.read_state_if_any(location) as tx:
            if tx is not None:
                local = asked or zone_of(tx, name)
                return fire_times(tx, name, _instant(after, local), count), local
    desired = read_targets([Target(location.directory, location.path)], location)
    found = desired.deployments.get(name)
    local = asked or (None if found is None else common_zone(found))
    return declared_fire_times(desired, name, _instant(after, local), count), local


def _instant(after: str | None, local: tzinfo | None) -> datetime:
    from controller.cli.state_reading import instant
    from controller.clock import SystemClock

    now = SystemClock().now()
    return now if after is None else instant("--after", after, now, local or UTC)


def _of_expression(
    kind: str, expression: dict[str, Any], given: str | None, count: int
) -> tuple[list[datetime], tzinfo]:
    from controller.model.schedules import At, Cron, Dst, Gap, Interval, Repeat, RRule, Rule, Schedule
    from controller.schedules import check_schedule, next_fire_times, parse_duration, parse_time, zone

    def rule() -> Rule:
        if kind == "cron":
            return Cron(expression=expression["cron"], day_or=expression["day_or"])
        if kind == "interval":
            anchor = expression["anchor_date"]
            every: timedelta = parse_duration(expression["interval"])
            return Interval(every=every, anchor=None if anchor is None else parse_time(anchor))
        if kind == "rrule":
            return RRule(text=expression["rrule"].replace("\\n", "\n"))
        return At(times=tuple(parse_time(text) for text in expression["at"]))

    local = zone(expression["timezone"])
    after = _instant(given, local)
    dst = Dst(gap=Gap(expression["gap"]), repeat=Repeat(expression["repeat"]))
    schedule = Schedule(id="expression", rule=rule(), timezone=expression["timezone"], dst=dst)
    check_schedule(schedule, after)
    return [time for time, _ in next_fire_times([schedule], after, count)], local


def _print(times: list[datetime], zone: tzinfo | None, output: str) -> None:
    if output == "json":
        from controller.cli.json_output import print_json

        print_json({"fire_times": times})
        return
    from controller.time_format import shown

    for time in times:
        click.echo(shown(time, zone, timespec="auto"))
    if not times:
        click.echo("It does not fire any more.", err=True)
