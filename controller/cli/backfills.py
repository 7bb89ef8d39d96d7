"""`controller backfills`: list and show backfills; the running controller pauses, resumes and cancels them."""

from typing import TYPE_CHECKING

import click

from controller.cli import complete, options
from controller.cli.json_output import print_json
from controller.cli.list_output import print_list
from controller.cli.state_access import check_names, connected_client, get_backfill, read_state, read_state_if_any
from controller.cli.state_access import zone_of as common_zone
from controller.settings import Location

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.cli.terminal.tables import CompactTable
    from controller.client import Client
    from controller.client.shapes import BackfillProgress


@click.group(cls=options.ListByDefault)
def backfills() -> None:
    """List, show, pause, resume or cancel backfills."""


@backfills.command(name="list")
@click.option("--deployment", metavar="NAME", help="Filter by deployment.", shell_complete=complete.deployments)
@options.limit(50)
@options.list_output
@options.location
def list_(location: Location, deployment: str | None, limit: int, output: str) -> None:
    """List backfills, newest first."""
    from controller.queries.backfills import list_backfills

    with read_state_if_any(location) as tx:
        rows = [] if tx is None else list_backfills(tx, limit, deployment=deployment)
        if tx is not None and not rows:
            check_names(tx, deployment, None)

    def table(is_wide: bool) -> "CompactTable":
        from controller.cli.terminal.backfill_tables import backfill_table

        zones = {name: common_zone(location, name) for name in {row.deployment for row in rows}}
        return backfill_table(rows, zones, is_wide=is_wide)

    print_list(rows, output, lambda row: str(row.id), table)


@backfills.command(name="show")
@click.argument("backfill_id", metavar="ID", shell_complete=complete.backfills)
@options.output
@options.location
def show_(location: Location, backfill_id: str, output: str) -> None:
    """Show the progress, the failed due times and those that are left.

    ID may be abbreviated to a unique beginning or end of the backfill's id.
    """
    from controller.queries.backfills import show_backfill

    with read_state(location) as tx:
        backfill = show_backfill(tx, backfill_id)
    if output == "json":
        print_json(backfill)
        return
    from controller.cli.terminal.backfill_tables import backfill_detail
    from controller.cli.terminal.console import show

    show(backfill_detail(backfill, common_zone(location, backfill.deployment)))


@backfills.command()
@click.argument("backfill_id", metavar="ID", shell_complete=complete.backfills)
@options.output
@options.location
def pause(location: Location, backfill_id: str, output: str) -> None:
    """Pause a backfill until it is resumed.

    It starts no more runs. Those in progress continue. ID may be abbreviated, as for `controller backfills show`.
    """
    _change(location, backfill_id, lambda client, full_id: client.pause_backfill(full_id), output)


@backfills.command()
@click.argument("backfill_id", metavar="ID", shell_complete=complete.backfills)
@options.output
@options.location
def resume(location: Location, backfill_id: str, output: str) -> None:
    """Resume a paused backfill.

    ID may be abbreviated, as for `controller backfills show`.
    """
    _change(location, backfill_id, lambda client, full_id: client.resume_backfill(full_id), output)


@backfills.command()
@click.argument("backfill_id", metavar="ID", shell_complete=complete.backfills)
@options.output
@options.location
def cancel(location: Location, backfill_id: str, output: str) -> None:
    """Cancel a backfill and its unfinished runs.

    A cancelled backfill cannot be resumed: create another one for the due times that are left. ID may be abbreviated,
    as for `controller backfills show`.
    """
    _change(location, backfill_id, lambda client, full_id: client.cancel_backfill(full_id), output)


def _change(
    location: Location, backfill_id: str, change: "Callable[[Client, str], BackfillProgress]", output: str
) -> None:
    full_id = get_backfill(location, backfill_id).id
    with connected_client(location) as client:
        backfill = change(client, full_id)
    if output == "json":
        print_json(backfill)
    else:
        click.echo(f"{backfill['id']} {backfill['state']}")
