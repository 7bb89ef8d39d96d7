"""`controller graph`: print what starts or holds back what. Needs no running controller."""

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from controller.cli import complete, options, state_access
from controller.cli.help_pages import Command
from controller.cli.json_output import print_json
from controller.clock import SystemClock
from controller.errors import NoStateError
from controller.settings import Location

if TYPE_CHECKING:
    from controller.queries.graph import GraphView


@click.command(cls=Command)
@click.argument("name", required=False, shell_complete=complete.deployments)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", "mermaid", "dot"]),
    default="text",
    show_default=True,
    help="Output format: mermaid for Markdown, dot for Graphviz.",
)
@options.location
def graph(location: Location, name: str | None, output: str) -> None:
    """Print what starts runs of each deployment, or makes them wait.

    This is a tree of deployments, files and webhooks. With NAME, print only what it depends on and what depends on it.
    Print the active deployments, or the declared ones if no controller has run yet or with --ref or --environment.
    """
    view = _read(location, name)
    if output == "json":
        print_json(view)
        return
    from controller.cli.formats import graph_text

    formats = {"text": graph_text.as_text, "mermaid": graph_text.as_mermaid, "dot": graph_text.as_dot}
    click.echo(formats[output](view))


def _read(location: Location, name: str | None) -> "GraphView":
    from controller.queries.graph import declared_graph, read_graph

    if location.ref is None and location.environment is None:
        with suppress(NoStateError), state_access.read_state_if_any(location) as tx:
            if tx is not None:
                return read_graph(tx, SystemClock().now(), name)
    from controller.cli.manifest_files import Target, read_desired_state, unknown_name

    desired = read_desired_state([Target(location.directory, location.path)], location)
    if name is not None and name not in desired.deployments:
        raise unknown_name(name, desired)
    return declared_graph(desired.deployments.values(), name)
