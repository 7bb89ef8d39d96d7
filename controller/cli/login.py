"""`controller login`: a link that opens the dashboard of the running controller, once."""

import click

from controller.cli import options
from controller.settings import Location


@click.command()
@options.output
@options.location
def login(location: Location, output: str) -> None:
    """Print a link that opens the dashboard in a browser. It works once, within ten minutes."""
    from controller.api.control import ask
    from controller.store.directory import StateDirectory

    answer = ask(StateDirectory(location.state_dir).socket, {"command": "login"})
    if output == "json":
        from controller.cli.output import print_json

        print_json(answer)
    else:
        click.echo(answer["url"])
