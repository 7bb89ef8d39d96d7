"""`controller next`: print the next fire times of a deployment or an expression. Needs no running controller."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from click.core import ParameterSource

from controller.cli import complete, options, state_access
from controller.cli.help_pages import Command
from controller.cli.json_output import print_json
from controller.clock import SystemClock
from controller.errors import NoStateError, UsageError
from controller.settings import Location
from controller.text import format_count
from controller.time_format import format_time

if TYPE_CHECKING:
    from controller.model.calendars import Calendar
    from controller.model.deployments import Deployment
    from controller.model.triggers import After

_DEFAULTS: dict[str, Any] = {"gap": "next_valid", "repeat": "first", "shift": "none", "exclude": ()}
"""Options of an expression that a deployment has in its file, with their defaults."""


_SHOWN = 5
_MAX_SKIPPED = 1000


class _Fires(NamedTuple):
    """The next fire times, and the zone to show them in; None is the machine's.

    `skipped` are the due times before the last one that a calendar or a window skips, with the reasons; `delayed` the
    fire times outside of windows, with the times of their starts; `absence` is printed if there are no fire times;
    `waits` are the upstream deployments that each due time waits for.
    """

    times: list[datetime]
    skipped: list[tuple[datetime, str]]
    zone: tzinfo | None
    absence: str = "No more fire times."
    delayed: Sequence[tuple[datetime, datetime]] = ()
    waits: "After | None" = None


@click.command("next", cls=Command)
@click.argument("name", required=False, shell_complete=complete.deployments)
@click.option("--cron", metavar="EXPR", help="A crontab(5) expression.")
@click.option("--interval", metavar="DURATION", help="A duration: 90s, 15m, 1h30m, 2d, PT15M or seconds.")
@click.option("--rrule", metavar="RULE", help="An RFC 5545 rule or rule set; separate its lines with \\n.")
@click.option("--at", metavar="TIME", multiple=True, help="A date-time. Repeatable.")
@click.option("--timezone", metavar="ZONE", default="UTC", show_default=True, help="Time zone of the expression.")
@click.option(
    "--day-or/--no-day-or",
    default=True,
    help="If --cron restricts day of month and day of week: fire if either matches, or only if both do.",
)
@click.option("--anchor-date", metavar="TIME", help="Time from which --interval counts.")
@click.option(
    "--gap",
    type=click.Choice(["next_valid", "skip", "shift"]),
    default="next_valid",
    show_default=True,
    help="Fire time for a local time that does not exist because clocks go forward.",
)
@click.option(
    "--repeat",
    type=click.Choice(["first", "second", "both"]),
    default="first",
    show_default=True,
    help="Fire times for a local time that occurs twice because clocks go back.",
)
@click.option(
    "--shift",
    type=click.Choice(["next_business_day", "previous_business_day", "none"]),
    default="none",
    show_default=True,
    help="Move fire times to business days.",
)
@click.option("--calendar", metavar="CODE", multiple=True, help="Public holidays that --shift avoids, such as DE-BY.")
@click.option("--except", "exclude", metavar="CODE", multiple=True, help="Holidays to leave out, such as DE-BY.")
@click.option(
    "-n",
    "count",
    type=click.IntRange(1, 10000),
    metavar="N",
    default=10,
    show_default=True,
    help="Number of fire times.",
)
@click.option(
    "--after",
    metavar="TIME",
    help="Start strictly after this time: now, tomorrow, 2h ago, a date or date-time. [default: now]",
)
@options.output
@options.location
def next_(location: Location, name: str | None, count: int, after: str | None, output: str, **expression: Any) -> None:
    """Print the next fire times of a deployment or an expression.

    Give the NAME of a deployment, or exactly one of --cron, --interval, --rrule and --at.
    """
    kinds = [kind for kind in ("cron", "interval", "rrule", "at") if expression[kind] not in (None, ())]
    if (name is not None) + len(kinds) != 1:
        hint = "`controller deployments --sort next` lists the deployments by their next fire time."
        message = "Give the name of a deployment, or exactly one of --cron, --interval, --rrule and --at."
        raise UsageError(message, hint=hint)
    _check_options(kinds, expression)
    if name is None:
        _print(_expression_times(kinds[0], expression, after, count), output)
    else:
        source = click.get_current_context().get_parameter_source("timezone")
        timezone = expression["timezone"] if source is not ParameterSource.DEFAULT else None
        _print(_deployment_times(location, name, after, timezone, count), output)


def _check_options(kinds: list[str], expression: dict[str, Any]) -> None:
    """Raise UsageError for an option that would have no effect."""
    if expression["anchor_date"] is not None and kinds != ["interval"]:
        raise UsageError("--anchor-date can only be used with --interval.")
    if not expression["day_or"] and kinds != ["cron"]:
        raise UsageError("--no-day-or can only be used with --cron.")
    if expression["calendar"] and expression["shift"] == "none":
        raise UsageError("--calendar can only be used with --shift.")
    for option, default in _DEFAULTS.items():
        if expression[option] != default and not kinds:
            place = ", under `dst`" if option in ("gap", "repeat") else ""
            name = "except" if option == "exclude" else option
            raise UsageError(f"--{name} can only be used with an expression. A deployment sets it in its file{place}.")


def _deployment_times(location: Location, name: str, after: str | None, timezone: str | None, count: int) -> _Fires:
    """Return the next fire times of a deployment.

    The schedules are the applied ones; if no controller has run yet, or --ref or --environment is given, the declared
    ones. The zone is `timezone`, else the only zone of the schedules, else None for the machine's. A time without an
    offset in `after` is read in that zone, with UTC instead of the machine's.
    """
    from controller.queries.deployment_details import (
        common_zone,
        declared_fire_times,
        find_deployment,
        fire_times,
        zone_of,
    )
    from controller.schedules import zone

    chosen = None if timezone is None else zone(timezone)
    if location.ref is None and location.environment is None:
        with suppress(NoStateError), state_access.read_state_if_any(location) as tx:
            if tx is not None:
                local = chosen or zone_of(tx, name)
                start = _instant(after, local)
                times = fire_times(tx, name, start, count)
                return _fires(find_deployment(tx, name), start, times, local)
    from controller.cli.manifest_files import Target, read_desired_state, unknown_name

    desired = read_desired_state([Target(location.directory, location.path)], location)
    deployment = desired.deployments.get(name)
    if name not in desired.declared_names:
        raise unknown_name(name, desired)
    local = chosen or (None if deployment is None else common_zone(deployment))
    start = _instant(after, local)
    return _fires(deployment, start, declared_fire_times(desired, name, start, count), local)


def _fires(deployment: "Deployment | None", start: datetime, times: list[datetime], local: tzinfo | None) -> _Fires:
    """Return these fire times of a deployment, with what skips, delays and holds them back."""
    from controller.queries.deployment_details import delayed_starts, skipped_due_times

    if deployment is None:
        return _Fires(times, [], local)
    absence = _absence_text(deployment)
    if deployment.suspend:
        return _Fires(times, [], local, absence)
    skipped = skipped_due_times(deployment, start, times)
    return _Fires(times, skipped, local, absence, delayed_starts(deployment, times), deployment.gate)


def _absence_text(deployment: "Deployment") -> str:
    """Return why a deployment has no fire times, what else starts its runs, and the command that starts one."""
    from controller.model.trigger_texts import trigger_texts

    name, causes = deployment.name, () if deployment.suspend else trigger_texts(deployment)
    reason = "No more fire times."
    if deployment.suspend:
        reason = f"{name} is suspended."
    elif not deployment.schedules:
        reason = f"{name} has no schedule."
    elif all(schedule.suspend for schedule in deployment.schedules):
        reason = f"The schedules of {name} are suspended."
    starts = f" It runs {'; '.join(causes)}." if causes else ""
    needed = [file.parameter for file in deployment.files if file.parameter is not None]
    needed += [parameter for webhook in deployment.webhooks for parameter in webhook.parameters]
    values = [f" --param {each}=VALUE" for each in dict.fromkeys(needed) if each not in deployment.parameters]
    return f"{reason}{starts} `controller trigger {name}{''.join(values)}` runs {name} now."


def _instant(after: str | None, local: tzinfo | None) -> datetime:
    now = SystemClock().now()
    return now if after is None else options.parse_time_option("--after", after, now, local or UTC)


def _expression_times(kind: str, expression: dict[str, Any], after: str | None, count: int) -> _Fires:
    from controller.model.calendars import Shift
    from controller.model.schedules import At, Cron, Dst, Gap, Interval, Repeat, RRule, Rule, Schedule
    from controller.schedules import check_schedule, find_skipped, next_fire_times, parse_duration, parse_time, zone

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
    start = _instant(after, local)
    dst = Dst(gap=Gap(expression["gap"]), repeat=Repeat(expression["repeat"]))
    schedule = Schedule(
        id="expression",
        rule=rule(),
        timezone=expression["timezone"],
        dst=dst,
        shift=Shift(expression["shift"]),
        business=_calendars(expression["calendar"]),
        exclude=_calendars(expression["exclude"]),
    )
    check_schedule(schedule, start)
    times = [time for time, _ in next_fire_times([schedule], start, count)]
    return _Fires(times, find_skipped([schedule], start, times[-1], _MAX_SKIPPED) if times else [], local)


def _calendars(codes: tuple[str, ...]) -> "tuple[Calendar, ...]":
    from controller.model.calendars import Calendar, Holidays

    return tuple(Calendar(name=code, holidays=Holidays(code=code)) for code in codes)


def _print(fires: _Fires, output: str) -> None:
    times, skipped = fires.times, fires.skipped
    if output == "json":
        rows = [{"due_time": time, "reason": reason} for time, reason in skipped]
        waits = {} if fires.waits is None else {"waits": fires.waits}
        print_json({"fire_times": times, **({"skipped": rows} if rows else {}), **waits})
        return
    for time in times:
        click.echo(_local(time, fires))
    if not times:
        click.echo(fires.absence, err=True)
    elif fires.waits is not None:
        from controller.model.trigger_texts import after_text

        click.echo(f"The run of each due time starts after {after_text(fires.waits)}.", err=True)
    for time, reason in skipped[:_SHOWN]:
        click.echo(f"{_local(time, fires)} is skipped: {reason}", err=True)
    if len(skipped) > _SHOWN:
        is_cut = len(skipped) + len(times) >= _MAX_SKIPPED
        number = f"{'At least ' if is_cut else ''}{format_count(len(skipped) - _SHOWN, 'more due time')}"
        click.echo(f"{number} {'is' if len(skipped) - _SHOWN == 1 else 'are'} skipped.", err=True)
    for time, start in fires.delayed[:_SHOWN]:
        click.echo(f"The run of {_local(time, fires)} starts when its window opens: {_local(start, fires)}", err=True)
    if len(fires.delayed) > _SHOWN:
        runs = format_count(len(fires.delayed) - _SHOWN, "more run")
        click.echo(f"{runs} of these due times also start when a window opens.", err=True)


def _local(time: datetime, fires: _Fires) -> str:
    return format_time(time, fires.zone, timespec="auto")
