"""`controller restore`: the last good document of a deployment that was deleted, ready to be committed again.

Git stays the truth: nothing is in force until it is committed.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from controller.cli import options, state_access
from controller.errors import UsageError
from controller.settings import Location

if TYPE_CHECKING:
    from controller.manifests import Excerpt
    from controller.model.status import InventoryEntry


@click.command()
@click.argument("name")
@click.option("--write", is_flag=True, help="Write it into the working tree, and say what to commit.")
@options.output
@options.location
def restore(location: Location, name: str, *, write: bool, output: str) -> None:
    """Print the last good document of a deployment that left the repository within the last 30 days."""
    entry = _entry(location, name)
    found = _excerpt(location, entry)
    target = _write(location, entry, found) if write else None
    if output == "json":
        from controller.cli.json_output import print_json

        print_json(found.document)
    elif target is None:
        click.echo(found.text, nl=not found.text.endswith("\n"))
    else:
        click.echo(f"wrote {target}; commit it, and {name} is in force again")


def _entry(location: Location, name: str) -> "InventoryEntry":
    from controller.queries.restore import last_entry

    with state_access.read_state(location) as tx:
        return last_entry(tx, name)


def _excerpt(location: Location, entry: "InventoryEntry") -> "Excerpt":
    from controller.assembly import make_source
    from controller.queries.restore import last_document
    from controller.store.state_directory import StateDirectory

    return last_document(entry, make_source(location, StateDirectory(location.state_dir), working_tree=False))


def _write(location: Location, entry: "InventoryEntry", found: "Excerpt") -> Path:
    target = location.directory / entry.file
    if target.exists() or not found.is_whole:
        target = location.directory / location.path / f"{entry.name}.yaml"
    if target.exists():
        raise UsageError(f"{target} exists already; nothing was written.", hint="Print it without --write.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(found.text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{target} can't be written: {error.strerror}.") from error
    return target
