"""`controller projects`: list the projects whose states are in one database on a server."""

from typing import TYPE_CHECKING

import click

from controller.cli import options
from controller.cli.help_pages import Command
from controller.cli.list_output import print_list
from controller.errors import UsageError
from controller.settings import Location

if TYPE_CHECKING:
    from controller.cli.terminal.tables import CompactTable


@click.command(cls=Command)
@options.list_output
@options.location
def projects(location: Location, output: str) -> None:
    """List the projects in a PostgreSQL database, and the host that leads each of them."""
    if location.state_url is None:
        raise UsageError("A file has the state of one project.", hint="Name a database with --state-url.")
    from controller.store.database import find_database

    find_database(location.state_url)  # raises StateError without psycopg, which is optional
    from controller.store.projects import find_projects

    rows = find_projects(location.state_url)

    def table(is_wide: bool) -> "CompactTable":
        from controller.cli.terminal.project_table import project_table

        return project_table(rows, is_wide=is_wide)

    print_list(rows, output, lambda row: str(row.name), table)
