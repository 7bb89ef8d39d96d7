"""`controller deployments`: list all deployments, or show the details of one."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from controller.cli import complete, options, state_access
from controller.cli.json_output import print_json, to_json
from controller.cli.list_output import print_list, watch_list
from controller.clock import SystemClock
from controller.settings import Location

if TYPE_CHECKING:
    from controller.cli.terminal.tables import CompactTable
    from controller.model.status import InventoryEntry
    from controller.queries.deployment_details import DeploymentDetail
    from controller.queries.deployments import DeploymentView
    from controller.queries.field_locations import DeclaredField

_HEALTHS = ["Healthy", "Degraded", "Running", "Suspended", "Unknown"]
_SYNCS = ["Synced", "OutOfSync", "Invalid", "Unknown"]


_SORTS = ["problems", "name", "next", "last-run"]


@click.group(cls=options.ListByDefault)
def deployments() -> None:
    """List deployments, or show one in detail."""


@deployments.command(name="list")
@click.option("--tag", metavar="TAG", help="Filter by tag.", shell_complete=complete.tags)
@click.option("--health", type=options.NearChoice(_HEALTHS, case_sensitive=False), help="Filter by health.")
@click.option("--sync", type=options.NearChoice(_SYNCS, case_sensitive=False), help="Filter by sync status.")
@click.option("--document", metavar="FILE[:LINE]", help="Filter by the manifest, or by one document in it.")
@click.option("--search", metavar="TEXT", default="", help="Filter by a part of the name, flow, description or a tag.")
@click.option(
    "--sort",
    type=options.NearChoice(_SORTS),
    default="problems",
    show_default=True,
    help="Order: problems first, by name, by next start, or by last run, newest first.",
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Maximum number of entries. [default: all]")
@options.watch
@options.list_output
@options.location
def list_(  # noqa: PLR0913
    location: Location,
    tag: str | None,
    health: str | None,
    sync: str | None,
    document: str | None,
    search: str,
    sort: str,
    limit: int | None,
    watch: bool,
    output: str,
) -> None:
    """List all deployments, problems first."""
    from controller.queries.deployment_list import DeploymentSort, matching, sort_deployments
    from controller.queries.deployments import Health, Sync
    from controller.queries.status import read_status

    clock = SystemClock()

    def read() -> "Sequence[DeploymentView]":
        rows = matching(
            read_status(location, clock.now()).deployments,
            search=search,
            tag=tag,
            sync=None if sync is None else Sync(sync),
            health=None if health is None else Health(health),
            document=None if document is None else document.removeprefix("./"),
        )
        return sort_deployments(rows, DeploymentSort(sort))[:limit]

    def table(rows: "Sequence[DeploymentView]", is_wide: bool) -> "CompactTable":
        from controller.cli.terminal.deployment_tables import deployment_table

        return deployment_table(
            rows, clock.now(), is_filtered=any((tag, health, sync, document, search)), is_wide=is_wide
        )

    rows = read()
    if not rows and tag is not None:
        with state_access.read_state_if_any(location) as tx:
            if tx is not None:
                state_access.check_names(tx, None, tag)
    if watch:
        watch_list(read, output, lambda row: str(row.name), table)
    else:
        print_list(rows, output, lambda row: str(row.name), lambda is_wide: table(rows, is_wide))


@deployments.command(name="open")
@click.argument("name", shell_complete=complete.deployments)
@options.location
def open_(location: Location, name: str) -> None:
    """Open the page of a deployment in a browser.

    Prints its URL, too. The running controller must serve the dashboard.
    """
    from controller.cli.open_page import open_page
    from controller.store.name_lookup import check_recorded

    with state_access.read_state(location) as tx:
        check_recorded(tx, name)
    open_page(location, f"/deployments/{name}")


@deployments.command(name="show")
@click.argument("name", shell_complete=complete.deployments)
@click.option("--blame", is_flag=True, help="Also show where each field is declared, and which commit changed it last.")
@options.output
@options.location
def show_(location: Location, name: str, blame: bool, output: str) -> None:
    """Show the details of one deployment."""
    from controller.queries.deployment_details import show_deployment
    from controller.store import inventory

    now = SystemClock().now()
    with state_access.read_state(location) as tx:
        detail, entry = show_deployment(tx, name, now), inventory.find(tx, name)
    fields = _fields(location, detail, entry) if blame and entry is not None else ()
    if output == "json":
        print_json({**to_json(detail), "fields": fields} if blame else detail)
        return
    from controller.cli.terminal.console import show
    from controller.cli.terminal.deployment_tables import deployment_detail, field_table

    show(deployment_detail(detail, now))
    if blame:
        show(field_table(fields, now))


def _fields(location: Location, detail: "DeploymentDetail", entry: "InventoryEntry") -> "Sequence[DeclaredField]":
    """Return the fields of the active version, with the commits that changed them."""
    from controller.queries.field_locations import FieldLocations
    from controller.sources.open_source import open_source

    if detail.revision is None:
        return ()
    return FieldLocations(open_source(location), detail.environment, SystemClock()).locate(entry, detail.revision)
