"""`controller trigger`: run a deployment now. The running controller starts the run; the command waits and prints."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

import click

from controller.cli import complete, options, state_access
from controller.cli.help_pages import Command
from controller.cli.parameter_arguments import read_parameters
from controller.cli.run_actions import print_answer, print_note
from controller.model.python_environments import WAITING
from controller.settings import Location
from controller.text import visible_lines


@click.command(cls=Command)
@click.argument("name", shell_complete=complete.deployments)
@click.option("--param", "pairs", metavar="KEY=JSON", multiple=True, help="Set one parameter. Repeatable.")
@click.option("--params", metavar="JSON", help="Set parameters from a JSON object.")
@click.option(
    "--due-time",
    metavar="TIME",
    help="Run this past due time, also if it has had a run: 'yesterday 02:00' or a date-time. "
    "[default: a run without a due time]",
)
@click.option("--idempotency-key", metavar="KEY", help="Repeating a request with the same key returns the same run.")
@click.option("--wait", is_flag=True, help="Wait for the run to finish. Exit 0 if it succeeds or skips, else 1.")
@click.option("--logs", is_flag=True, help="Print the output of the run as it arrives. Implies --wait.")
@options.output
@options.location
def trigger(  # noqa: PLR0913
    location: Location,
    name: str,
    pairs: Sequence[str],
    params: str | None,
    due_time: str | None,
    idempotency_key: str | None,
    wait: bool,
    logs: bool,
    output: str,
) -> int:
    """Run a deployment now, also for a past due time.

    A --due-time without an offset is in the time zone of the schedules. `controller occurrences` lists due times.

    Values that are not JSON are strings: --param region=eu and --param 'region="eu"' are the same. A flow receives the
    parameters as arguments; a command receives them as a JSON object in the file named by CONTROLLER_PARAMETERS_FILE.
    """
    import secrets

    parameters = read_parameters(pairs, params)
    instant = None if due_time is None else _utc_due_time(location, name, due_time)
    key = secrets.token_hex(16) if idempotency_key is None else idempotency_key
    with state_access.connected_client(location) as client:
        answer = client.trigger(name, parameters, due_time=instant, idempotency_key=key)
    print_note(answer)
    if not (wait or logs):
        print_answer(answer, output)
        return 0
    return _wait(location, answer["run_id"], output, logs=logs)


def _utc_due_time(location: Location, name: str, text: str) -> str:
    from controller.cli.json_output import utc
    from controller.clock import SystemClock

    return utc(options.parse_time_option("--due-time", text, SystemClock().now(), state_access.zone_of(location, name)))


def _wait_with_logs(location: Location, run_id: str, stream: TextIO) -> dict[str, Any]:
    from controller.cli.log_output import LogWriter
    from controller.cli.log_printer import LogPrinter
    from controller.cli.run_wait import follow_run, wait_for_run
    from controller.settings import wants_colours

    run, directory = state_access.get_run(location, run_id)
    writer = LogWriter(stream.buffer, with_colours=wants_colours())
    zone = state_access.zone_of(location, run.deployment)
    printer = LogPrinter(directory, run_id, writer, zone, run.attempts)
    try:
        follow_run(location, run_id, logs=printer)
        finished = wait_for_run(location, run_id)
        printer.print_logs(None)  # what a next controller has added
    finally:
        writer.close()
    return finished


def _report_python(run: Mapping[str, Any]) -> None:
    """Say on standard error that a run waits for its Python environment, which may take until the next commit."""
    if run["waiting"] == WAITING:
        command = f"controller deployments show {run['deployment']}"
        click.echo(f"waiting: {WAITING}; `{command}` says why", err=True)


def _wait(location: Location, run_id: str, output: str, *, logs: bool) -> int:
    from controller.cli.run_wait import exit_code, follow_run, wait_for_run

    click.echo(f"Run {run_id}", err=True)
    if logs:
        run = _wait_with_logs(location, run_id, sys.stderr if output == "json" else sys.stdout)
    else:
        is_shown = follow_run(location, run_id)
        run = wait_for_run(location, run_id, None if is_shown else _report_python)
    if output == "json":
        from controller.cli.json_output import print_json

        print_json({"run_id": run_id, **run})
    else:
        print_answer({"run_id": run_id, "state": run["state"]}, output)
        if run["reason"] is not None:
            click.echo(visible_lines(f"reason: {run['reason']}"))
        if run["result"] is not None:
            click.echo(visible_lines(f"result: {json.dumps(run['result'], ensure_ascii=False)}"))
    return exit_code(run)
