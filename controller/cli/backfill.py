"""`controller backfill`: run the due times of a past range. The running controller creates the runs."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import click

from controller.cli import complete, options
from controller.cli.help_pages import Command
from controller.cli.parameter_arguments import read_parameters
from controller.errors import UsageError
from controller.settings import Location

_TIMES_SHOWN = 50


@click.command(cls=Command)
@click.argument("name", shell_complete=complete.deployments)
@click.option(
    "--from",
    "since",
    metavar="TIME",
    required=True,
    help="Start of the range, included: yesterday, 2h ago, a date or date-time.",
)
@click.option(
    "--to", "until", metavar="TIME", help="End of the range, included: 2h ago, a date or date-time. [default: now]"
)
@click.option(
    "--redo",
    type=options.NearChoice(["failed", "skipped", "all"]),
    help="Also repeat due times whose latest run failed or was cancelled (failed), was skipped by its flow (skipped), "
    "or finished in any state (all). [default: only due times without a run]",
)
@click.option(
    "--latest/--original",
    "is_latest",
    default=True,
    help="Repeat due times with the active deployment, or with the commit of their earlier run. "
    "[default: the active deployment]",
)
@click.option(
    "--param",
    "pairs",
    metavar="KEY=JSON",
    multiple=True,
    help="Set one parameter of all runs, such as region=eu or days=3. Repeatable.",
)
@click.option(
    "--parallel",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Maximum number of runs in progress at a time. [default: 1, or 1000 with `overlap: allow`]",
)
@click.option(
    "--max",
    "most",
    type=click.IntRange(1),
    metavar="N",
    help="Run at most this many due times: the latest ones. [default: all]",
)
@click.option("--dry-run", is_flag=True, help="Print the due times that would be run, and create nothing.")
@click.option("--wait", is_flag=True, help="Wait for the backfill to end. Exit 0 if all runs succeed, else 1.")
@options.output
@options.location
def backfill(  # noqa: PLR0913
    location: Location,
    name: str,
    since: str,
    until: str | None,
    redo: str | None,
    is_latest: bool,
    pairs: Sequence[str],
    parallel: int | None,
    most: int | None,
    dry_run: bool,
    wait: bool,
    output: str,
) -> int:
    """Run the due times of a past range that have no run yet.

    Due times that the schedule skipped are included; --redo also repeats due times that have had a run. A date or time
    without an offset is in the time zone of the schedules. The runs start after all other waiting runs, and never make
    the schedules skip a due time. They execute the active deployment, unless --original is set.
    `controller backfills` lists, pauses, resumes and cancels backfills.
    """
    from controller.cli import state_access
    from controller.cli.json_output import utc
    from controller.clock import SystemClock

    if wait and dry_run:
        raise UsageError("--wait and --dry-run exclude each other.")
    now, zone = SystemClock().now(), state_access.zone_of(location, name)
    first = options.parse_time_option("--from", since, now, zone)
    last = None if until is None else options.parse_time_option("--to", until, now, zone)
    with state_access.connected_client(location) as client:
        answer: Mapping[str, Any] = client.backfill(
            name,
            utc(first),
            None if last is None else utc(last),
            redo=redo,
            code="latest" if is_latest else "original",
            parameters=read_parameters(pairs, None),
            parallel=parallel,
            most=most,
            dry_run=dry_run,
        )
    if output == "text":
        _print_times(answer, zone)
    _print_counts(answer, most)
    if wait and answer["backfill_id"] is not None:
        return _wait(location, answer, output)
    if output == "json":
        from controller.cli.json_output import print_json

        print_json(answer)
    return 0


def _print_times(answer: Mapping[str, Any], zone: Any) -> None:
    from controller.time_format import format_time

    if answer["backfill_id"] is not None:
        click.echo(answer["backfill_id"])
    for time in answer["times"][:_TIMES_SHOWN]:
        note = "  (due under an older schedule)" if time in answer["older_schedule"] else ""
        click.echo(format_time(datetime.fromisoformat(time), zone, timespec="auto") + note)
    if len(answer["times"]) > _TIMES_SHOWN:
        click.echo(f"… and {len(answer['times']) - _TIMES_SHOWN} more")


def _print_counts(answer: Mapping[str, Any], most: int | None) -> None:
    if not answer["times"]:
        click.echo("There is nothing to run.", err=True)
    if counts := describe_counts(answer, most):
        click.echo(f"{counts}.", err=True)


def describe_counts(answer: Mapping[str, Any], most: int | None) -> str:
    """Return how many due times are not run, and why: `3 already have a run; 2 will be run by another backfill`."""
    have_run, planned, left_out = answer["have_run"] - answer["planned"], answer["planned"], answer["left_out"]
    counts = [f"{have_run} already {'has' if have_run == 1 else 'have'} a run"] if have_run else []
    counts += [f"{planned} will be run by another backfill"] if planned else []
    counts += [f"{left_out} earlier ones were left out (--max {most})"] if left_out else []
    return "; ".join(counts)


def _wait(location: Location, answer: Mapping[str, Any], output: str) -> int:
    from controller.cli.run_wait import wait_for_backfill

    def on_change(backfill: Mapping[str, Any]) -> None:
        if output == "text":
            click.echo(f"{backfill['state']}: {describe_progress(backfill)}")

    backfill = wait_for_backfill(location, answer["backfill_id"], on_change)
    if output == "json":
        from controller.cli.json_output import print_json

        print_json({**answer, **backfill})
    return 0 if backfill["state"] == "succeeded" else 1


def describe_progress(backfill: Mapping[str, Any]) -> str:
    """Return the progress as text: `12 of 40 done, 1 failed, 2 running, 25 waiting`."""
    counts = [f"{backfill[key]} {key}" for key in ("failed", "cancelled", "running", "waiting") if backfill[key]]
    return ", ".join([f"{backfill['done']} of {backfill['total']} done", *counts])
