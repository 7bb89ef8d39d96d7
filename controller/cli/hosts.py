"""`controller hosts`: list the hosts that share a state, and end the runs of one that will not come back."""

import sys
from typing import TYPE_CHECKING

import click

from controller.cli import complete, options
from controller.cli.help_pages import Command
from controller.cli.list_output import print_list
from controller.cli.state_access import connected_client, read_state_if_any
from controller.errors import UsageError
from controller.settings import Location
from controller.text import format_count

if TYPE_CHECKING:
    from controller.cli.terminal.tables import CompactTable


@click.group(cls=options.ListByDefault)
def hosts() -> None:
    """List hosts that share a state, or end the runs of a lost one."""


@hosts.command(name="list")
@options.list_output
@options.location
def list_(location: Location, output: str) -> None:
    """List the hosts whose controllers share the state, with their runs in progress.

    A host is away if none of its controllers was seen for 30 seconds.
    """
    from controller.clock import SystemClock
    from controller.store.hosts import find_hosts

    with read_state_if_any(location) as tx:
        rows = [] if tx is None else find_hosts(tx)

    def table(is_wide: bool) -> "CompactTable":
        from controller.cli.terminal.host_table import host_table

        return host_table(rows, SystemClock().now(), is_wide=is_wide)

    print_list(rows, output, lambda row: str(row.name), table)


@hosts.command(cls=Command)
@click.argument("name", shell_complete=complete.hosts)
@click.option("--yes", is_flag=True, help="Do not ask before ending the runs.")
@options.output
@options.location
def lost(location: Location, name: str, yes: bool, output: str) -> int:
    """End the runs of a host that will not come back.

    The runs end as crashed. Make sure that the host is off: flows that still run there are not stopped, and would
    overlap with retries and with the next runs of their deployments.
    """
    with connected_client(location) as client:
        running = next((host["running"] for host in client.hosts() if host["name"] == name), 0)
    question = f"End {format_count(running, 'run')} of host {name} as crashed?"
    if running and not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"{question} Standard input is not a terminal, so you cannot answer.", hint="Pass --yes.")
        if not click.confirm(question, err=True):
            return 1
    with connected_client(location) as client:
        answer = client.declare_host_lost(name)
    if output == "json":
        from controller.cli.json_output import print_json

        print_json(answer)
    else:
        for run_id in answer["run_ids"]:
            click.echo(run_id)
        click.echo(f"{format_count(len(answer['run_ids']), 'run')} of host {name} ended.", err=True)
    return 0
