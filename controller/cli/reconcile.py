"""`controller reconcile` and `controller approve`: make the running controller sync now, or delete after approval."""

import click

from controller.cli import complete, options, state_access
from controller.cli.help_pages import Command
from controller.cli.json_output import print_json
from controller.settings import Location
from controller.text import visible_lines


@click.command(cls=Command)
@click.option(
    "--wait", is_flag=True, help="Wait for the sync and show its result. Exit 1 if not everything is applied."
)
@options.output
@options.location
def reconcile(location: Location, *, wait: bool, output: str) -> int:
    """Sync with the repository now.

    The controller does not wait for its next poll.
    """
    with state_access.connected_client(location) as client:
        client.reconcile(wait=wait)
        source = client.source()
    if output == "json":
        print_json({"revision": source["revision"], "conditions": source["conditions"]})
    elif not wait:
        click.echo("Reconcile requested.")
    else:
        click.echo(f"revision {source['revision']}")
        for condition in source["conditions"]:
            state = f"{condition['type']}={condition['status']}"
            click.echo(visible_lines(f"{state} {condition['reason']}: {condition['message']}"))
    is_ready = any(condition["type"] == "Ready" and condition["status"] == "True" for condition in source["conditions"])
    return 0 if is_ready or not wait else 1


@click.command(cls=Command)
@click.argument("digest", shell_complete=complete.digests)
@options.output
@options.location
def approve(location: Location, digest: str, output: str) -> int:
    """Approve withheld deletions, identified by their digest.

    `controller status` and `controller plan` print DIGEST, which covers exactly the deletions shown there. Its first
    12 characters are enough, with or without `sha256:`, if they are unique.
    """
    with state_access.connected_client(location) as client:
        result = client.approve(digest)
    if output == "json":
        print_json(result)
    else:
        for name in result["deleted"]:
            click.echo(f"deleted {name}")
        for name in result["remaining"]:
            click.echo(f"not deleted: {name}", err=True)
        if result["pending"]:
            click.echo(
                "Approved. They will be deleted when a revision can be applied; see `controller status`.", err=True
            )
    return 1 if result["remaining"] else 0
