"""`controller restore`: print or write the last valid document of a deleted deployment.

Git remains the source of truth: the deployment is applied again only when the document is committed.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from controller.cli import complete, options, state_access
from controller.cli.help_pages import Command
from controller.cli.json_output import print_json
from controller.errors import UsageError
from controller.settings import Location

if TYPE_CHECKING:
    from controller.manifests.extract import Excerpt
    from controller.model.status import InventoryEntry


@click.command(cls=Command)
@click.argument("name", shell_complete=complete.deleted_deployments)
@click.option("--write", is_flag=True, help="Write the document to the working tree instead of printing it.")
@options.output
@options.location
def restore(location: Location, name: str, *, write: bool, output: str) -> None:
    """Print the last valid document of a deleted deployment.

    The deployment must have been deleted within the last 30 days. Commit the document to apply it again.
    """
    entry = _entry(location, name)
    document = _excerpt(location, entry)
    target = _write(location, entry, document) if write else None
    if output == "json":
        print_json(document.document)
    elif target is None:
        click.echo(document.text, nl=not document.text.endswith("\n"))
    else:
        click.echo(f"wrote {target}; commit it to apply {name} again")


def _entry(location: Location, name: str) -> "InventoryEntry":
    from controller.queries.restore import last_entry

    with state_access.read_state(location) as tx:
        return last_entry(tx, name)


def _excerpt(location: Location, entry: "InventoryEntry") -> "Excerpt":
    from controller.queries.restore import last_document
    from controller.sources.open_source import open_source

    return last_document(entry, open_source(location))


def _write(location: Location, entry: "InventoryEntry", excerpt: "Excerpt") -> Path:
    target = location.directory / entry.file
    if target.exists() or not excerpt.is_whole:
        target = location.directory / location.path / f"{entry.name}.yaml"
    if target.exists():
        raise UsageError(f"{target} already exists; nothing was written.", hint="Print the document without --write.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(excerpt.text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"Cannot write {target}: {error.strerror}.") from error
    return target
