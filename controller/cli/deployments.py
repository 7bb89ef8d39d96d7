"""`controller deployments`: list all deployments, or show the details of one."""

import click

from controller.cli import complete, options, state_access
from controller.cli.json_output import print_json
from controller.clock import SystemClock
from controller.settings import Location


@click.group(cls=options.ListByDefault)
def deployments() -> None:
    """List deployments, or show one in detail."""


@deployments.command(name="list")
@options.output
@options.location
def list_(location: Location, output: str) -> None:
    """List all deployments, problems first."""
    from controller.queries.status import read_status

    now = SystemClock().now()
    rows = read_status(location, now).deployments
    if output == "json":
        print_json(rows)
        return
    from controller.cli.terminal.console import show
    from controller.cli.terminal.deployment_tables import deployment_table

    show(deployment_table(rows, now))


@deployments.command(name="show")
@click.argument("name", shell_complete=complete.deployments)
@options.output
@options.location
def show_(location: Location, name: str, output: str) -> None:
    """Show the details of one deployment."""
    from controller.queries.deployment_details import show_deployment

    now = SystemClock().now()
    with state_access.read_state(location) as tx:
        detail = show_deployment(tx, name, now)
    if output == "json":
        print_json(detail)
        return
    from controller.cli.terminal.console import show
    from controller.cli.terminal.deployment_tables import deployment_detail

    show(deployment_detail(detail, now))
