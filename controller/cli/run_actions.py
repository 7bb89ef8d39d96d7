"""`controller runs cancel`, `retry` and `watch`: the running controller acts, the command waits and prints."""

from collections.abc import Mapping
from typing import Any

import click

from controller.cli import options, state_access
from controller.settings import Location
from controller.text import visible_lines


@click.command()
@click.argument("run_id", metavar="ID")
@click.option("--reason", metavar="TEXT", help="Reason, recorded with the run.")
@options.output
@options.location
def cancel(location: Location, run_id: str, reason: str | None, output: str) -> int:
    """Cancel a run.

    A run that is waiting is cancelled at once. The flow of a running one gets SIGTERM and, ten seconds later, SIGKILL.
    """
    full_id = _full_id(location, run_id)
    with state_access.connected_client(location) as client:
        answer = client.cancel(full_id, reason or "cancelled by request")
    print_answer(answer, output)
    return 0


@click.command()
@click.argument("run_id", metavar="ID")
@click.option("--wait", is_flag=True, help="Wait for the new run to finish. Exit 0 if it succeeds or skips, else 1.")
@options.output
@options.location
def retry(location: Location, run_id: str, wait: bool, output: str) -> int:
    """Retry a finished run.

    Starts a new run of the same revision with the same parameters.
    """
    import secrets

    finished_id = _full_id(location, run_id)
    with state_access.connected_client(location) as client:
        answer = client.retry(finished_id, idempotency_key=secrets.token_hex(16))
    if not wait:
        print_answer(answer, output)
        return 0
    return _watch(location, answer["run_id"], output, print_changes=False)


@click.command()
@click.argument("run_id", metavar="ID")
@options.output
@options.location
def watch(location: Location, run_id: str, output: str) -> int:
    """Follow a run until it finishes.

    Prints every change of its state. Exit 0 if it succeeds or skips, else 1.
    """
    return _watch(location, _full_id(location, run_id), output, print_changes=output == "text")


def print_answer(answer: Mapping[str, Any], output: str) -> None:
    """Print the id and the state of the run in a response of the controller."""
    if output == "json":
        from controller.cli.json_output import print_json

        print_json(answer)
    else:
        click.echo(f"{answer['run_id']} {answer['state']}")


def _watch(location: Location, run_id: str, output: str, *, print_changes: bool) -> int:
    from controller.cli.run_wait import exit_code, wait_for_run

    run = wait_for_run(location, run_id, _print_run if print_changes else None)
    if output == "json":
        from controller.cli.json_output import print_json

        print_json({"run_id": run["id"], **run})
    elif not print_changes:
        _print_run(run)
    return exit_code(run)


def _print_run(run: Mapping[str, Any]) -> None:
    remark = run["reason"] if run["waiting"] is None else f"waiting: {run['waiting']}"
    attempt = f" (attempt {run['attempt']} of {run['attempts']})" if run["attempts"] > 1 and run["attempt"] else ""
    click.echo(visible_lines(f"{run['id']} {run['state']}{attempt}" + (f": {remark}" if remark else "")))


def _full_id(location: Location, run_id: str) -> str:
    """Return the full id of the run that an abbreviated id names. Raises NotFoundError."""
    return str(state_access.get_run(location, run_id)[0].id)
