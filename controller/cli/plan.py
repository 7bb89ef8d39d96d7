"""`controller plan`: show what a commit would change before it is applied. Made for pull requests: it runs no code.

With `--base` it needs only a repository, no state and no network. Without it, it compares with the applied state.
"""

from datetime import datetime
from typing import TYPE_CHECKING

import click

from controller.cli import options
from controller.cli.help_pages import Command
from controller.cli.json_output import print_json
from controller.clock import SystemClock
from controller.errors import StateError, UsageError
from controller.settings import Location

if TYPE_CHECKING:
    from controller.reconcile.preview import Preview
    from controller.sources.source import Source


@click.command(cls=Command)
@click.option("--base", metavar="REF", help="Revision to compare with. [default: the applied state]")
@click.option("--head", metavar="REF", help="Revision that would be applied. [default: the followed ref]")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    show_default=True,
    help="Output format.",
)
@options.location
def plan(location: Location, base: str | None, head: str | None, output: str) -> int:
    """Show what a commit changes before it is applied.

    Lists deployments, fields and fire times; deletions come first. With --base, every declared environment is planned
    as well, unless --environment names one. Exit 0 if nothing changes, 1 if something changes or is not valid.
    """
    now = SystemClock().now()
    view = _against_state(location, head, now) if base is None else _between(location, base, head, now)
    if output == "json":
        print_json(view)
    else:
        from controller.cli.formats import plan_report

        click.echo(plan_report.as_markdown(view) if output == "markdown" else plan_report.as_text(view))
    return 0 if view.is_empty else 1


def _between(location: Location, base: str, head: str | None, now: datetime) -> "Preview":
    """Plan the change from one commit of the repository to another."""
    from controller.reconcile.commit_comparison import plan_between

    after = _commit(location, head if head is not None else location.ref or "HEAD")
    before = _commit(location, base)
    return plan_between(before, after, location.environment, now, open_commit=lambda name: _commit(location, name))


def _against_state(location: Location, head: str | None, now: datetime) -> "Preview":
    """Plan the change from the state that a controller has applied to a commit, or to the files of a directory."""
    from controller.errors import NoStateError
    from controller.reconcile.state_comparison import plan_against_state
    from controller.store.access_check import name_state
    from controller.store.open_state import open_read_only

    try:
        store = open_read_only(location)
    except NoStateError:
        store = None
    if store is None:
        raise StateError(
            f"Nothing has been applied yet: there is no state in the {name_state(location)}.",
            hint="Compare two commits with --base and --head, or start `controller run` first.",
        )
    try:
        return plan_against_state(store, _commit(location, head), location.environment, now)
    finally:
        store.close()


def _commit(location: Location, name: str | None) -> "Source":
    """Return the source of a named commit; without a name, the source that `controller run` would follow."""
    from controller.git_directory import is_git_repository
    from controller.sources.open_source import open_commit, open_source

    if not is_git_repository(location.directory) and name is not None:
        raise UsageError(f"{location.repo} is not a git repository, so it has no commit {name}.")
    return open_source(location) if name is None else open_commit(location, name)
