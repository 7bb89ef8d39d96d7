"""`controller runs cancel`, `retry` and `watch`: the running controller does it; this only asks, waits and shows."""

from collections.abc import Mapping
from typing import Any

import click

from controller.cli import options, state_access
from controller.settings import Location


@click.command()
@click.argument("run_id", metavar="ID")
@click.option("--reason", metavar="TEXT", help="Why; it is kept with the run.")
@options.output
@options.location
def cancel(location: Location, run_id: str, reason: str | None, output: str) -> int:
    """End a run: at once if it waits, else its flow is ended first (SIGTERM, then SIGKILL)."""
    said = reason or "cancelled by request"
    whole = _whole(location, run_id)
    with state_access.connected_client(location) as client:
        answer = client.cancel(whole, said)
    print_answer(answer, output)
    return 0


@click.command()
@click.argument("run_id", metavar="ID")
@click.option("--wait", is_flag=True, help="Wait for the new run; exit 0 if it succeeded, else 1.")
@options.output
@options.location
def retry(location: Location, run_id: str, wait: bool, output: str) -> int:
    """Do a run again that has ended: a new run of the same revision with the same parameters."""
    import secrets

    old = _whole(location, run_id)
    with state_access.connected_client(location) as client:
        answer = client.retry(old, idempotency_key=secrets.token_hex(16))
    if not wait:
        print_answer(answer, output)
        return 0
    return _watch(location, answer["run_id"], output, is_told=False)


@click.command()
@click.argument("run_id", metavar="ID")
@options.output
@options.location
def watch(location: Location, run_id: str, output: str) -> int:
    """Tell what becomes of a run until it has ended; exit 0 if it succeeded, else 1."""
    return _watch(location, _whole(location, run_id), output, is_told=output == "text")


def print_answer(answer: Mapping[str, Any], output: str) -> None:
    """Print the run that an answer names, and its state."""
    if output == "json":
        from controller.cli.json_output import print_json

        print_json(answer)
    else:
        click.echo(f"{answer['run_id']} {answer['state']}")


def _watch(location: Location, run_id: str, output: str, *, is_told: bool) -> int:
    from controller.cli import state_reading
    from controller.model.runs import RunState
    from controller.store.state_directory import StateDirectory

    run = state_reading.follow(StateDirectory(location.state_dir), run_id, _tell if is_told else None)
    if output == "json":
        from controller.cli.json_output import print_json, to_json

        print_json({"run_id": run.id, **to_json(run)})
    elif not is_told:
        _tell(run)
    return 0 if run.state == RunState.SUCCEEDED.value else 1


def _tell(run: Any) -> None:
    from controller.cli.json_output import visible

    remark = f"waits: {run.waiting}" if run.waiting is not None else run.reason
    attempt = f" (attempt {run.attempt} of {run.attempts})" if run.attempts > 1 and run.attempt else ""
    click.echo(visible(f"{run.id} {run.state}{attempt}" + (f": {remark}" if remark else "")))


def _whole(location: Location, run_id: str) -> str:
    """The whole id of a run of which a part was given. Raises NotFoundError."""
    from controller.cli import state_reading

    return str(state_reading.find(location, run_id)[0].id)
