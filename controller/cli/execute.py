"""`controller execute`: a deployment of the files on disk, here and now, in the foreground. Needs no controller."""

from collections.abc import Sequence

import click

from controller.cli import options
from controller.errors import UsageError
from controller.settings import Location


@click.command()
@click.argument("name")
@click.option("--param", "pairs", metavar="KEY=JSON", multiple=True, help="Set one parameter; repeatable.")
@click.option("--params", metavar="JSON", help="Set parameters from a JSON object.")
@click.option("--render-python", is_flag=True, help="Execute Python specs too, to find the deployment in them.")
@options.location
def execute(location: Location, name: str, pairs: Sequence[str], params: str | None, *, render_python: bool) -> int:
    """Run a deployment here and now, without a controller and without a record. Exit 0 if it succeeded, else 1.

    A value that is not JSON is taken as a string, as with `trigger`.
    """
    import json
    import subprocess

    from controller.cli.files import Target, read
    from controller.cli.output import visible
    from controller.cli.trigger import given_parameters
    from controller.cli.validate import rendered
    from controller.errors import unknown_deployment
    from controller.runs.beside.vault import SecretError
    from controller.runs.foreground import execute as run
    from controller.settings import flow_environment, secret_variables

    wanted = [Target(location.directory, location.path)]
    desired = read(wanted, location, render=rendered if render_python else None).desired
    short = name.rpartition("/")[2]
    found = desired.deployments.get(short)
    if found is None and short in desired.declared_names:
        raise UsageError(f"{short} is not valid.", hint="See `controller validate`.")
    if found is None:
        raise unknown_deployment(short, desired.declared_names)
    parameters = given_parameters(pairs, params)
    try:
        code, told = run(found, location.directory, parameters, flow_environment(), secret_variables())
    except (subprocess.TimeoutExpired, SecretError) as error:
        raise UsageError(f"{short} was ended: {error}.") from error
    if "result" in told:
        click.echo(visible(f"result: {json.dumps(told['result'], ensure_ascii=False)}"))
    return 0 if code == 0 else 1
