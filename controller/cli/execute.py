"""`controller execute`: run a flow here and now, in the foreground. No controller, no state, no record."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from controller.cli import options
from controller.cli.parameter_arguments import read_parameters
from controller.errors import UsageError, unknown_deployment
from controller.settings import Location

if TYPE_CHECKING:
    from controller.model.deployments import Deployment
    from controller.runs.execute import FlowResult


@click.command()
@click.argument("flow")
@click.option("--param", "pairs", metavar="KEY=JSON", multiple=True, help="Set one parameter; repeatable.")
@click.option("--params", metavar="JSON", help="Set parameters from a JSON object.")
@click.option("--render-python", is_flag=True, help="Execute Python specs too, to find the deployment in them.")
@options.output
@options.location
def execute(
    location: Location, flow: str, pairs: Sequence[str], params: str | None, output: str, *, render_python: bool
) -> int:
    """Run a deployment of the repository, or a flow like flows/etl.py:main, from the files on disk.

    What the flow prints goes to standard error, its result to standard output. Exit 0 if it succeeded, else 1.
    """
    from controller.clock import SystemClock
    from controller.runs.execute import execute as run
    from controller.settings import flow_environment, temporary_bases

    if location.ref is not None:
        raise UsageError("execute runs the files on disk; leave out --ref.")
    given = read_parameters(pairs, params)
    deployment = _flow(location, flow) if ".py" in flow else _declared(location, flow, render_python)
    environment = {
        **flow_environment(),
        "CONTROLLER_RUN_ID": "",
        "CONTROLLER_ATTEMPT_ID": "",
        "CONTROLLER_ATTEMPT": "1",
        "CONTROLLER_SCHEDULED_FOR": "",
        "CONTROLLER_REVISION": "",
    }
    parameters = {**deployment.parameters, **given}
    ending = run(deployment, parameters, location.directory, environment, SystemClock(), temporary_bases())
    _print(ending, output)
    return 0 if ending.exit_code == 0 else 1


def _flow(location: Location, flow: str) -> "Deployment":
    """A deployment of this file and function, which stands nowhere."""
    from controller.manifests import build_deployment

    path, colon, name = flow.partition(":")
    file = next((place for place in (Path.cwd() / path, location.directory / path) if place.is_file()), None)
    if file is None:
        raise UsageError(f"There is no file {path}.", hint="Write it like flows/etl.py:main.")
    if not file.resolve().is_relative_to(location.directory.resolve()):
        raise UsageError(f"{path} is outside the repository {location.directory}.")
    inside = file.resolve().relative_to(location.directory.resolve()).as_posix()
    document = {"name": "execute", "flow_location": inside, **({"flow_name": name} if colon else {})}
    return build_deployment(document, "execute.yaml", 1)


def _declared(location: Location, name: str, render_python: bool) -> "Deployment":
    from controller.cli.manifest_files import Target, read
    from controller.cli.validate import rendered

    wanted = [Target(location.directory, location.path)]
    desired = read(wanted, location, render=rendered if render_python else None).desired
    found = desired.deployments.get(name)
    if found is not None:
        return found
    if name not in desired.declared_names:
        raise unknown_deployment(name, desired.declared_names)
    wrong = next((finding for finding in desired.findings if finding.deployment == name), None)
    where = "" if wrong is None else f": {wrong.file}:{wrong.line}:{wrong.column}: {wrong.message}"
    raise UsageError(f"{name} is not valid{where}.", hint="See `controller validate`.")


def _print(ending: "FlowResult", output: str) -> None:
    from controller.cli.json_output import json_text, visible

    if output == "json":
        from controller.cli.json_output import print_json

        print_json(ending)
        return
    if ending.result is not None:
        click.echo(json_text(ending.result))
    reason: Any = ending.error
    if ending.timed_out:
        reason = "it ran longer than its timeout"
    elif reason is None and ending.exit_code:
        reason = f"exit code {ending.exit_code}" if ending.exit_code > 0 else f"ended by signal {-ending.exit_code}"
    if reason is not None:
        click.echo(visible(f"failed: {reason}"), err=True)
