"""`controller execute`: run a flow in the foreground, without a controller. No run is recorded."""

import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from controller.cli import complete, options
from controller.cli.help_pages import Command
from controller.cli.json_output import json_text, print_json
from controller.cli.parameter_arguments import read_parameters
from controller.clock import SystemClock
from controller.errors import ControllerError, UsageError
from controller.model.names import is_name
from controller.settings import Location, UvSettings
from controller.text import visible_lines

if TYPE_CHECKING:
    from controller.model.deployments import Deployment
    from controller.model.python_environments import PythonRuntime
    from controller.runs.execute import FlowResult


_FLOW_HINT = "Write the flow as FILE:FUNCTION, for example flows/etl.py:main."


@click.command(cls=Command)
@click.argument("flow", shell_complete=complete.deployments)
@click.option("--param", "pairs", metavar="KEY=JSON", multiple=True, help="Set one parameter. Repeatable.")
@click.option("--params", metavar="JSON", help="Set parameters from a JSON object.")
@click.option("--render-python", is_flag=True, help="Also execute Python specs to find the deployment.")
@options.uv
@options.output
@options.location
def execute(
    location: Location,
    flow: str,
    pairs: Sequence[str],
    params: str | None,
    uv: UvSettings,
    output: str,
    *,
    render_python: bool,
) -> int:
    """Run a flow or deployment in the foreground.

    FLOW is the name of a deployment, or a flow such as flows/etl.py:main. It runs from the files on disk, in the
    Python environment of the deployment, which is built first if necessary. Its output goes to standard error, its
    result to standard output. Exit 0 if it succeeds or skips, else 1.
    """
    from controller.cli.manifest_files import is_bare
    from controller.manifests.parameter_references import find_errors
    from controller.runs.execute import execute as run
    from controller.settings import flow_environment, temporary_bases

    if location.ref is not None:
        raise UsageError("execute runs the files on disk; remove --ref.")
    if is_bare(location.directory):
        message = f"execute runs the files on disk, but {location.repo} is a bare repository, which has none."
        raise UsageError(
            message, hint=f"Clone it, and run execute in the clone: git clone {shlex.quote(str(location.repo))}"
        )
    overrides = read_parameters(pairs, params)
    is_flow = is_flow_file(flow) and not (is_name(flow) and _flow_file(location, flow) is None)
    deployment = _flow_deployment(location, flow) if is_flow else _declared_deployment(location, flow, render_python)
    declared = {**deployment.parameters, **overrides}
    for error in find_errors(declared):
        raise UsageError(f"{error}.", hint=error.hint)
    _check_results(declared)
    environment = {
        **flow_environment(),
        "CONTROLLER_RUN_ID": "",
        "CONTROLLER_ATTEMPT_ID": "",
        "CONTROLLER_ATTEMPT": "1",
        "CONTROLLER_SCHEDULED_FOR": "",
        "CONTROLLER_REVISION": "",
    }
    now = SystemClock().now()
    parameters = _resolve(declared, now, deployment, environment)
    python = _prepare_python(location, deployment, uv)
    result = run(deployment, parameters, location.directory, environment, SystemClock(), temporary_bases(), python)
    _print(result, output)
    return 0 if result.exit_code == 0 or result.skipped else 1


def _check_results(parameters: Mapping[str, Any]) -> None:
    """Raise UsageError if a parameter comes from the result of an upstream run: here is none."""
    from controller.manifests.upstream_references import find_upstream_references

    for path, source in find_upstream_references(parameters).items():
        message = f"Parameter {path[0]} comes from the result of an upstream run: {source}."
        raise UsageError(message, hint=f"Set it with --param {path[0]}=VALUE.")


def _resolve(
    declared: Mapping[str, Any], now: datetime, deployment: "Deployment", environment: Mapping[str, str]
) -> dict[str, Any]:
    """Return the parameters with the values of references. All variables of the environment are the user's own.

    Raises UsageError if a variable is not set.
    """
    from controller.manifests.parameter_references import find_references, resolve
    from controller.manifests.run_references import MissingVariableError, RunValues, Variables
    from controller.settings import secret_variables

    variables = Variables(secret_variables(), allowed=None)
    try:
        variables.check(find_references(declared))
    except MissingVariableError as error:
        raise error.as_usage_error("Set the variable, or pass a value with --param.") from error
    values = RunValues(environment["CONTROLLER_RUN_ID"], environment["CONTROLLER_REVISION"], variables)
    return resolve(declared, now, deployment.zones, schedule=deployment.timezone, run=values)


def is_flow_file(text: str) -> bool:
    """Return whether this is written as a file with a flow, `file.py` or `file.py:function`."""
    return text.partition(":")[0].endswith(".py")


def _flow_file(location: Location, path: str) -> Path | None:
    """Return the file at this path, relative to the current directory or to the repository; None without one."""
    candidates = (Path.cwd() / path, location.directory / path)
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _flow_deployment(location: Location, flow: str) -> "Deployment":
    """Return an undeclared deployment of `flow`, written as `file.py:function`. Raises UsageError."""
    from controller.manifests.build import build_deployment

    path, colon, name = flow.partition(":")
    file = _flow_file(location, path)
    if file is None:
        raise UsageError(f"There is no file {path}.", hint=_FLOW_HINT)
    if not file.resolve().is_relative_to(location.directory.resolve()):
        raise UsageError(f"{path} is outside the repository {location.directory}.")
    relative = file.resolve().relative_to(location.directory.resolve()).as_posix()
    document = {"name": "execute", "flow_location": relative, **({"flow_name": name} if colon else {})}
    return build_deployment(document, "execute.yaml", 1)


def _declared_deployment(location: Location, name: str, render_python: bool) -> "Deployment":
    from controller.cli.manifest_files import Target, read_manifests, unknown_name
    from controller.cli.validate import execute_python_specs

    targets = [Target(location.directory, location.path)]
    desired = read_manifests(targets, location, render=execute_python_specs if render_python else None).desired
    deployment = desired.deployments.get(name)
    if deployment is not None:
        return deployment
    if name not in desired.declared_names and is_flow_file(name):
        raise UsageError(f"There is no file and no deployment {name}.", hint=_FLOW_HINT)
    if name not in desired.declared_names:
        raise unknown_name(name, desired)
    error = next((finding for finding in desired.findings if finding.deployment == name), None)
    details = "" if error is None else f": {error}"
    raise UsageError(f"Deployment {name} is not valid{details}.", hint="See `controller validate`.")


def _prepare_python(location: Location, deployment: "Deployment", uv: UvSettings) -> "PythonRuntime | None":
    """Return the interpreter of the deployment's Python environment, which is built first unless it is ready.

    None for the interpreter of the controller. Raises ControllerError.
    """
    from controller.manifests.python_requests import RequirementsError, check_size, read_request
    from controller.sources.safe_open import read_inside

    try:
        request = read_request(deployment, partial(read_inside, location.directory, check_size=check_size))
    except RequirementsError as error:
        raise UsageError(f"{error.path}:{error.line}: {error.message}.", hint=error.hint) from error
    if request is None:
        return None
    from controller.app.python_builds import open_environments

    preload = deployment.python.preload if deployment.python is not None else ()
    with open_environments(location, uv, SystemClock()) as environments:
        runtime = environments.find_runtime(request, preload)
        if runtime is None:
            click.echo(visible_lines(f"building the Python environment: {request.declared_at}"), err=True)
            environment = environments.build(request)
            runtime = environments.find_runtime(request, preload)
    if runtime is None:
        message = f"The Python environment can't be built: {environment.reason}: {environment.message}"
        raise ControllerError(
            message, hint=f"`controller python show {request.digest[:12]}` shows the log of the build."
        )
    return runtime


def _print(result: "FlowResult", output: str) -> None:
    if output == "json":
        print_json(result)
        return
    if result.result is not None:
        click.echo(json_text(result.result))
    if result.skipped:
        click.echo(visible_lines("skipped" + (f": {result.reason}" if result.reason else "")), err=True)
        return
    reason: Any = result.error
    if result.timed_out:
        reason = "the timeout was exceeded"
    elif reason is None and result.exit_code:
        code = result.exit_code
        reason = f"exit code {code}" if code > 0 else f"terminated by signal {-code}"
    if reason is not None:
        click.echo(visible_lines(f"failed: {reason}"), err=True)
