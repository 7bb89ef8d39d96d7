"""`controller deployment`: the spellings that people know from Prefect Orion. All but `create` are other commands."""

from pathlib import Path
from typing import Any

import click

from controller.cli import options
from controller.cli.deployments import list_, show_
from controller.cli.execute import execute
from controller.cli.trigger import trigger
from controller.settings import Location


class _Named(click.Argument):
    """A deployment, also as `flow/deployment`: here the second part alone is its name."""

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        """Leave out the flow."""
        found = super().process_value(ctx, value)
        return found if not isinstance(found, str) or ".py" in found else found.rpartition("/")[2]


def _named(argument: click.Argument) -> click.Argument:
    return _Named([str(argument.name)], metavar="NAME")


def _again(command: click.Command, name: str) -> click.Command:
    """The same command under another name."""
    parameters = [_named(one) if isinstance(one, click.Argument) else one for one in command.params]
    return click.Command(name, callback=command.callback, params=parameters, help=command.help)


@click.group()
def deployment() -> None:
    """Write a deployment into the repository; list, show, run or execute one."""


@deployment.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Write it also where a file of that name is.")
@options.location
def create(location: Location, file: Path, *, replace: bool) -> int:
    """Check a YAML, JSON or Python spec, and write it into the deployments of the working tree, to be committed.

    A Python spec is executed for that, and written as YAML. Exit 1 if it is not valid; then nothing is written.
    """
    from controller.cli.deployment_create import create as make

    return make(location, file, replace=replace)


deployment.add_command(_again(list_, "ls"))
deployment.add_command(_again(show_, "inspect"))
deployment.add_command(_again(trigger, "run"))
deployment.add_command(_again(execute, "execute"))
