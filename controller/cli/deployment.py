"""`controller deployment`: the commands of Prefect Orion. All except `create` are aliases of other commands."""

from inspect import cleandoc
from pathlib import Path
from typing import Any

import click

from controller.cli import complete, options
from controller.cli.deployments import list_, show_
from controller.cli.execute import execute, is_flow_file
from controller.cli.help_pages import Command, Group
from controller.cli.trigger import trigger
from controller.settings import Location


class _DeploymentArgument(click.Argument):
    """A deployment name, also in the form `flow/deployment`, of which only the second part is used."""

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        """Return the name without the flow. For `execute`, a flow such as `flows/etl.py:main` stays as it is."""
        name = super().process_value(ctx, value)
        is_flow = not isinstance(name, str) or (self.name == "flow" and is_flow_file(name))
        return name if is_flow else name.rpartition("/")[2]


def _deployment_argument(argument: click.Argument) -> click.Argument:
    return _DeploymentArgument([str(argument.name)], metavar="NAME", shell_complete=complete.deployments)


def _alias(command: click.Command, name: str, original: str) -> click.Command:
    """Return the same command, which is `controller ORIGINAL`, under another name."""
    parameters = [
        _deployment_argument(parameter) if isinstance(parameter, click.Argument) else parameter
        for parameter in command.params
    ]
    text = f"Same as `controller {original}`.\n\n{cleandoc(command.help or '')}"
    return Command(name, callback=command.callback, params=parameters, help=text)


@click.group(cls=Group)
def deployment() -> None:
    """Write a spec to the working tree; aliases named as in Prefect."""


@deployment.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Overwrite an existing file.")
@options.location
def create(location: Location, file: Path, *, replace: bool) -> int:
    """Check a deployment spec and write it to the working tree.

    FILE is YAML, JSON or Python. A Python spec is executed, and its deployments are written as YAML. Commit the written
    file to apply it. Exit 1, and write nothing, if the spec is not valid.
    """
    from controller.cli.deployment_create import create_deployment

    return create_deployment(location, file, replace=replace)


deployment.add_command(_alias(list_, "ls", "deployments list"))
deployment.add_command(_alias(show_, "inspect", "deployments show"))
deployment.add_command(_alias(trigger, "run", "trigger"))
deployment.add_command(_alias(execute, "execute", "execute"))
