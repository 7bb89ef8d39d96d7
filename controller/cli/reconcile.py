"""`controller reconcile` and `controller approve`: ask the running controller to look now, or to delete after all."""

import click

from controller.cli import options, state_access
from controller.settings import Location


@click.command()
@click.option("--wait", is_flag=True, help="Wait for the pass, and show what came of it. Exit 1 if not all is applied.")
@options.output
@options.location
def reconcile(location: Location, *, wait: bool, output: str) -> int:
    """Look at the source now, without waiting for the next interval."""
    with state_access.connected_client(location) as client:
        client.reconcile(wait=wait)
        source = client.source()
    if output == "json":
        from controller.cli.json_output import print_json

        print_json({"revision": source["revision"], "conditions": source["conditions"]})
    elif not wait:
        click.echo("It looks now.")
    else:
        from controller.cli.json_output import visible

        click.echo(f"revision {source['revision']}")
        for found in source["conditions"]:
            click.echo(visible(f"{found['type']}={found['status']} {found['reason']}: {found['message']}"))
    is_ready = any(found["type"] == "Ready" and found["status"] == "True" for found in source["conditions"])
    return 0 if is_ready or not wait else 1


@click.command()
@click.argument("digest")
@options.output
@options.location
def approve(location: Location, digest: str, output: str) -> int:
    """Release withheld deletions: exactly those of this digest, as `controller status` and `plan` print it.

    Its first 12 characters, with or without `sha256:`, are enough if no other digest begins with them.
    """
    with state_access.connected_client(location) as client:
        done = client.approve(digest)
    if output == "json":
        from controller.cli.json_output import print_json

        print_json(done)
    else:
        for name in done["deleted"]:
            click.echo(f"deleted {name}")
        for name in done["remaining"]:
            click.echo(f"not deleted: {name}", err=True)
        if done["pending"]:
            click.echo("They are approved, and go as soon as a revision can be applied: see status.", err=True)
    return 1 if done["remaining"] else 0
