"""`controller trigger`: Quick Run. The running controller does it; this only asks, waits and shows."""

import json
import threading
from collections.abc import Sequence
from typing import Any

import click

from controller.cli import options
from controller.errors import UsageError
from controller.settings import Location

POLL_SECONDS = 0.05


@click.command()
@click.argument("name")
@click.option("--param", "pairs", metavar="KEY=JSON", multiple=True, help="Set one parameter; repeatable.")
@click.option("--params", metavar="JSON", help="Set parameters from a JSON object.")
@click.option("--idempotency-key", metavar="KEY", help="The same key gives the same run.")
@click.option("--wait", is_flag=True, help="Wait for the run; exit 0 if it succeeded, else 1.")
@click.option("--logs", is_flag=True, help="Print the run's output when it has ended (implies --wait).")
@options.output
@options.location
def trigger(
    location: Location,
    name: str,
    pairs: Sequence[str],
    params: str | None,
    idempotency_key: str | None,
    wait: bool,
    logs: bool,
    output: str,
) -> int:
    """Run a deployment now.

    A value that is not JSON is taken as a string: --param region=eu and --param 'region="eu"' are the same.
    """
    import secrets

    from controller.api.control import ask
    from controller.store.directory import StateDirectory

    state = StateDirectory(location.state_dir)
    request = {
        "command": "trigger",
        "deployment": name,
        "parameters": given_parameters(pairs, params),
        "idempotency_key": idempotency_key or secrets.token_hex(16),
    }
    answer = ask(state.socket, request)
    if not (wait or logs):
        _print(answer, output)
        return 0
    return _follow(state, answer["run_id"], output, logs=logs)


def given_parameters(pairs: Sequence[str], params: str | None) -> dict[str, Any]:
    """What `--param` and `--params` say together. Raises UsageError."""
    found: dict[str, Any] = {}
    if params is not None:
        try:
            found = json.loads(params, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"--params is not JSON: {error}.") from error
        if not isinstance(found, dict):
            raise UsageError('--params must be a JSON object, like {"region": "eu"}.')
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"--param {pair!r} has no value; write KEY=JSON, like region=eu or days=3.")
        try:
            found[key] = json.loads(text, parse_constant=str)
        except (ValueError, RecursionError):
            found[key] = text
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")


def _follow(state: Any, run_id: str, output: str, *, logs: bool) -> int:
    from controller.cli.output import visible
    from controller.model.runs import RunState
    from controller.runs.logs import log_files
    from controller.store import Store
    from controller.views.runs import find_run

    store = Store.look(state.database)
    pause = threading.Event()
    while True:
        # Asked before the look: a run may end together with its controller.
        is_last = state.holder() is None
        with store.read() as tx:
            run = find_run(tx, run_id)
        if RunState(run.state).is_terminal:
            break
        if is_last:
            raise UsageError(f"The controller ended while run {run_id} was {run.state}; it will go on with it.")
        pause.wait(POLL_SECONDS)
    store.close()
    if logs:
        for path in log_files(state.runs, run_id):
            click.echo(path.read_bytes(), nl=False, err=output == "json")
    if output == "json":
        from controller.cli.output import print_json

        print_json({"run_id": run.id, **_as_dict(run)})
    else:
        _print({"run_id": run.id, "state": run.state}, output)
        if run.reason is not None:
            click.echo(visible(f"reason: {run.reason}"))
        if run.result is not None:
            click.echo(visible(f"result: {json.dumps(run.result, ensure_ascii=False)}"))
    return 0 if run.state == RunState.SUCCEEDED.value else 1


def _as_dict(run: Any) -> dict[str, Any]:
    from controller.cli.output import to_json

    found: dict[str, Any] = to_json(run)
    return found


def _print(answer: dict[str, Any], output: str) -> None:
    if output == "json":
        from controller.cli.output import print_json

        print_json(answer)
    else:
        click.echo(f"{answer['run_id']} {answer['state']}")
