"""`controller runs cancel`, `retry` and `watch`: the running controller acts, the command waits and prints."""

from collections.abc import Mapping
from typing import Any

import click

from controller.cli import bulk_runs, complete, options, state_access
from controller.cli.help_pages import Command
from controller.errors import UsageError
from controller.settings import Location
from controller.text import visible_lines
from controller.time_format import ZoneOf, convert_times_of

_FINISHED = ["succeeded", "failed", "timed_out", "cancelled", "crashed", "skipped"]


@click.command(cls=Command)
@click.argument("run_id", metavar="[ID]", required=False, shell_complete=complete.runs)
@click.option("--reason", metavar="TEXT", help="Reason, recorded with the run.")
@bulk_runs.filter_options(["pending", "running", "retrying"], "all unfinished runs")
@options.output
@options.location
def cancel(location: Location, run_id: str | None, reason: str | None, yes: bool, output: str, **filters: Any) -> int:
    """Cancel a run, or all unfinished runs that match filters.

    A run that is waiting is cancelled at once. The flow of a running one gets SIGTERM and, ten seconds later, SIGKILL.
    With filters instead of an ID, the command asks first. --backfill alone cancels the backfill too. ID may be
    abbreviated, as for `controller runs show`.
    """
    text = reason or "cancelled by request"
    if bulk_runs.needs_filters(run_id, filters):
        return bulk_runs.cancel_matching(location, filters, text, yes=yes, output=output)
    full_id = _full_id(location, str(run_id))
    with state_access.connected_client(location) as client:
        answer = client.cancel(full_id, text)
    print_answer(answer, output)
    if answer["state"] != "cancelled":
        click.echo("The flow is being stopped. `controller runs watch` follows it until it has ended.", err=True)
    return 0


@click.command(cls=Command)
@click.argument("run_id", metavar="[ID]", required=False, shell_complete=complete.runs)
@click.option("--latest", is_flag=True, help="Execute the active deployment. [default: the commit of the run]")
@click.option("--wait", is_flag=True, help="Wait for the new run to finish. Exit 0 if it succeeds or skips, else 1.")
@bulk_runs.filter_options(_FINISHED, "failed, timed_out and crashed")
@options.output
@options.location
def retry(
    location: Location, run_id: str | None, latest: bool, wait: bool, yes: bool, output: str, **filters: Any
) -> int:
    """Retry a finished run, or all failed runs that match filters.

    Starts a new run with the same commit, parameters and due time. With --latest, it executes the active deployment,
    whose parameters replace those that were not set by a request. With filters instead of an ID, the command asks
    first, and retries only the latest run of each due time. ID may be abbreviated, as for `controller runs show`.
    """
    import secrets

    if bulk_runs.needs_filters(run_id, filters):
        if wait:
            raise UsageError("--wait needs the ID of one run.", hint="Use `controller runs watch ID` afterwards.")
        return bulk_runs.retry_matching(location, filters, latest=latest, yes=yes, output=output)
    finished_id = _full_id(location, str(run_id))
    with state_access.connected_client(location) as client:
        answer = client.retry(finished_id, latest=latest, idempotency_key=secrets.token_hex(16))
    print_note(answer)
    if not wait:
        print_answer(answer, output)
        return 0
    click.echo(f"Run {answer['run_id']}", err=True)
    return _watch(location, answer["run_id"], output, print_changes=False)


@click.command(cls=Command)
@click.argument("run_id", metavar="ID", shell_complete=complete.runs)
@options.output
@options.location
def watch(location: Location, run_id: str, output: str) -> int:
    """Follow a run until it finishes.

    On a terminal, shows its tasks; elsewhere, prints every change of its state. Exit 0 if it succeeds or skips, else 1.
    """
    return _watch(location, _full_id(location, run_id), output, print_changes=output == "text")


def print_answer(answer: Mapping[str, Any], output: str) -> None:
    """Print the id and the state of the run in a response of the controller."""
    if output == "json":
        from controller.cli.json_output import print_json

        print_json(answer)
    else:
        click.echo(f"{answer['run_id']} {answer['state']}")


def print_note(answer: Mapping[str, Any]) -> None:
    """Print on standard error when the run in a response starts, if this controller will not start it."""
    if answer["note"] is not None:
        click.echo(answer["note"], err=True)


def _watch(location: Location, run_id: str, output: str, *, print_changes: bool) -> int:
    from controller.cli.run_wait import exit_code, follow_run, wait_for_run

    is_shown = output == "text" and follow_run(location, run_id, with_tree=print_changes)
    zones = state_access.zones_of(location)

    def print_run(run: Mapping[str, Any]) -> None:
        _print_run(run, zones)

    run = wait_for_run(location, run_id, print_run if print_changes and not is_shown else None)
    if output == "json":
        from controller.cli.json_output import print_json

        print_json({"run_id": run["id"], **run})
    elif not print_changes:
        print_run(run)
    return exit_code(run)


def _print_run(run: Mapping[str, Any], zone_of: ZoneOf) -> None:
    remark = run["reason"] if run["waiting"] is None else f"waiting: {run['waiting']}"
    attempt = f" (attempt {run['attempt']} of {run['attempts']})" if run["attempts"] > 1 and run["attempt"] else ""
    remark = f": {convert_times_of(run['deployment'], remark, zone_of)}" if remark else ""
    unknown = "" if run["uncertain_reason"] is None else f" (unknown: {run['uncertain_reason']})"
    click.echo(visible_lines(f"{run['id']} {run['state']}{unknown}{attempt}{remark}"))


def _full_id(location: Location, run_id: str) -> str:
    """Return the full id of the run that an abbreviated id names. Raises NotFoundError."""
    return str(state_access.get_run(location, run_id)[0].id)
