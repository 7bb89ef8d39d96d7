"""`controller login`: print a one-time link to the dashboard of the running controller."""

import click

from controller.cli import options, state_access
from controller.cli.help_pages import Command
from controller.cli.json_output import print_json
from controller.settings import Location


@click.command(cls=Command)
@options.output
@options.location
def login(location: Location, output: str) -> None:
    """Print a one-time link to the dashboard.

    The link is valid for ten minutes.
    """
    with state_access.connected_client(location) as client:
        url = client.login_link()
    if output == "json":
        print_json({"url": url})
    else:
        click.echo(url)
