"""`controller state`: copy the state to a database on a server, or back to a file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from controller.cli.help_pages import Command, Group
from controller.errors import NoStateError, UsageError

if TYPE_CHECKING:
    from controller.state_url import StateUrl


@click.group(cls=Group)
def state() -> None:
    """Copy the state to another database."""


@state.command(cls=Command)
@click.option(
    "--from", "source", metavar="PLACE", required=True, help="State directory, or URL of a PostgreSQL database."
)
@click.option("--to", "target", metavar="PLACE", required=True, help="The same; it must not contain a state yet.")
@click.option("--from-project", metavar="NAME", help="Project of --from, if that is a database. [default: default]")
@click.option("--to-project", metavar="NAME", help="Project of --to, if that is a database. [default: default]")
def copy(source: str, target: str, from_project: str | None, to_project: str | None) -> None:
    """Copy a state to an empty database, while no controller uses it.

    Copies the history, due times, deployments, holds and notifications. The file `state.db` of a state directory gets
    the name `state.db.copied`, so that no controller continues with it by mistake.
    """
    from controller.store.state_copy import copy_state

    place = _parse(source, from_project)
    if isinstance(place, Path) and not (place / "state.db").exists():
        was_copied = (place / "state.db.copied").exists()
        hint = "It was copied already." if was_copied else "Name the state directory of a repository."
        raise NoStateError(f"There is no state at {place}.", hint=hint)
    with _locked(place) as old, _locked(_parse(target, to_project)) as new:
        counts = copy_state(old, new)
        if isinstance(old, Path):
            _set_aside(old)
    for name, count in sorted(counts.items()):
        click.echo(f"{name}\t{count}")


def _set_aside(file: Path) -> None:
    """Rename a database, and what SQLite has not written back to it."""
    for end in ("-wal", "-shm", ""):
        part = file.with_name(f"{file.name}{end}")
        if part.exists():
            part.rename(file.with_name(f"{file.name}.copied{end}"))


def _parse(place: str, project: str | None) -> "Path | StateUrl":
    """Return the state directory, or the URL of the project's state. Raises UsageError."""
    from controller.project_names import check_name
    from controller.state_url import parse_state_url

    if "://" not in place:
        if project is not None:
            raise UsageError(f"{place}: a file has the state of one project.", hint="Leave the project out.")
        return Path(place).absolute()
    url = parse_state_url(place, is_argument=True)
    assert url is not None
    return url.of_project(None if project is None else check_name(project))


@contextmanager
def _locked(place: "Path | StateUrl") -> "Iterator[Path | StateUrl]":
    """Yield the database at a place, and lock its state directory. Raises AlreadyRunningError, StateError."""
    import threading

    from controller import __version__
    from controller.clock import SystemClock
    from controller.store.state_directory import StateDirectory

    if not isinstance(place, Path):
        yield place
        return
    directory = StateDirectory(place)
    directory.hold(version=__version__, now=SystemClock().now(), pause=threading.Event().wait)
    try:
        yield directory.file
    finally:
        directory.release()
