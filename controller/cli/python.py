"""`controller python`: list and show the Python environments of deployments, build them now, and remove unused ones."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from controller.cli import complete, options
from controller.cli.json_output import print_json
from controller.cli.list_output import print_list
from controller.cli.state_access import connected_client, read_state, read_state_if_any
from controller.clock import SystemClock
from controller.errors import ControllerError, unknown_deployment
from controller.settings import Location, UvSettings
from controller.text import format_bytes, format_count, visible_lines

if TYPE_CHECKING:
    from controller.app.python_builds import DeclaredPython
    from controller.cli.terminal.tables import CompactTable
    from controller.model.python_environments import PythonRequest
    from controller.python_environments import PythonEnvironments
    from controller.queries.python_environments import PythonEnvironmentRow

_LOG_LINES = 15


@click.group(cls=options.ListByDefault)
def python() -> None:
    """List, show, build or remove Python environments."""


@python.command(name="list")
@options.list_output
@options.location
def list_(location: Location, output: str) -> None:
    """List Python environments and the deployments that use them.

    Those with problems come first.
    """
    from controller.queries.python_environments import python_environments

    with read_state_if_any(location) as tx:
        rows = [] if tx is None else python_environments(tx)
    _print_rows(rows, output)


@python.command(name="show")
@click.argument("name", metavar="NAME", shell_complete=complete.deployments)
@options.output
@options.location
def show_(location: Location, name: str, output: str) -> None:
    """Show one Python environment, and the log of its build.

    NAME is a deployment, or the beginning of a digest. While the newest version of a deployment waits for another
    environment, that one is shown too.
    """
    from controller.queries.python_environments import find_python_environments

    with read_state(location) as tx:
        details = find_python_environments(tx, name)
    if output == "json":
        print_json(details)
        return
    from controller.cli.terminal.console import show
    from controller.cli.terminal.python_tables import python_detail

    for index, detail in enumerate(details):
        if index:
            click.echo()
        show(python_detail(detail, SystemClock().now()))


@python.command()
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete.deployments)
@options.uv
@options.output
@options.location
def build(location: Location, names: tuple[str, ...], uv: UvSettings, output: str) -> int:
    """Build the environments that are not ready yet.

    NAME is a deployment; by default, the environments of all deployments are built. It works with and without a
    running controller, which uses them at once. Exit 1 if a build fails or a deployment is not valid.
    """
    from controller.app.python_builds import open_environments, read_declared
    from controller.queries.python_environments import python_environments
    from controller.sources.open_source import open_source

    clock = SystemClock()
    declared = read_declared(open_source(location), location.environment, clock.now())
    requests = _select(declared, names)
    is_valid = _report_invalid(declared, names)
    is_ready = True
    rows: list[PythonEnvironmentRow] = []
    if requests:
        with open_environments(location, uv, clock) as environments:
            for request in requests.values():
                is_ready &= _build(environments, request, declared)
        with read_state(location) as tx:
            rows = [
                _row(row, declared) for row in python_environments(tx) if not requests.keys().isdisjoint(row.requests)
            ]
        _notify_controller(location)
    if rows or output == "json":
        _print_rows(rows, output)
    return 0 if is_valid and is_ready else 1


@python.command()
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@options.output
@options.location
def prune(location: Location, dry_run: bool, output: str) -> None:
    """Remove the environments that nothing needs any more.

    The controller removes them itself after 14 days. They are built again if a deployment needs them.
    """
    from controller.app.python_builds import open_environments, read_declared
    from controller.queries.python_environments import find_needed, find_unneeded
    from controller.sources.open_source import open_source

    clock = SystemClock()
    declared = read_declared(open_source(location), location.environment, clock.now())
    with read_state(location) as tx:
        needed = find_needed(tx, declared.requests)
        rows = find_unneeded(tx, needed, clock.now())
    if not dry_run:
        with open_environments(location, UvSettings(), clock) as environments:
            removed = environments.prune(needed)
        rows = [row for row in rows if row.digest in removed]
    size = sum(row.size or 0 for row in rows)
    if output == "json":
        print_json({"dry_run": dry_run, "bytes": size, "removed": rows})
        return
    if rows:
        _print_rows(rows, output)
    verb = "would be removed" if dry_run else "removed"
    click.echo(f"{format_count(len(rows), 'Python environment')} {verb}, {format_bytes(size)}", err=True)


def _select(declared: "DeclaredPython", names: Sequence[str]) -> "Mapping[str, PythonRequest]":
    """Return the requests of these deployments, or of all. Raises NotFoundError for an unknown name."""
    if not names:
        return declared.requests
    selected = {}
    for name in names:
        if name not in declared.desired.declared_names:
            raise unknown_deployment(name, declared.desired.declared_names)
        request = declared.desired.python_requests.get(name)
        if request is not None:
            selected[request.digest] = request
        elif name in declared.desired.deployments:
            click.echo(f"{name} runs with the Python of the controller; there is nothing to build.", err=True)
    return selected


def _report_invalid(declared: "DeclaredPython", names: Sequence[str]) -> bool:
    """Print the errors of the deployments to build. Return whether there are none."""
    from controller.model.findings import Severity

    errors = [
        finding
        for finding in declared.desired.findings
        if finding.severity is Severity.ERROR and (not names or finding.deployment in names)
    ]
    for finding in errors:
        click.echo(visible_lines(f"invalid: {finding}"), err=True)
    return not errors


def _build(environments: "PythonEnvironments", request: "PythonRequest", declared: "DeclaredPython") -> bool:
    """Build one environment, and print why a build failed, with the end of its log. Return whether it is ready."""
    from controller.model.python_environments import PythonState

    before = environments.find(request.digest)
    if before is None or before.state is not PythonState.READY:
        names = ", ".join(declared.deployments[request.digest])
        click.echo(visible_lines(f"building {request.declared_at} for {names}"), err=True)
    environment = environments.build(request, declared.committed_at)
    if environment.state is PythonState.READY:
        return True
    for line in environment.log.splitlines()[-_LOG_LINES:-1]:
        click.echo(visible_lines(f"  {line}"), err=True)
    click.echo(visible_lines(f"failed: {environment.reason}: {environment.message}"), err=True)
    return False


def _row(row: "PythonEnvironmentRow", declared: "DeclaredPython") -> "PythonEnvironmentRow":
    """Return the row with the deployments that the revision declares, which may not be applied yet."""
    names = {name for request in row.requests for name in declared.deployments.get(request, ())}
    return replace(row, deployments=tuple(sorted(names)))


def _notify_controller(location: Location) -> None:
    """Have a running controller use what was built."""
    import contextlib

    with contextlib.suppress(ControllerError), connected_client(location) as client:
        client.reconcile()


def _print_rows(rows: "Sequence[PythonEnvironmentRow]", output: str) -> None:
    def table(is_wide: bool) -> "CompactTable":
        from controller.cli.terminal.python_tables import python_table

        return python_table(rows, SystemClock().now(), is_wide=is_wide)

    print_list(rows, output, lambda row: str(row.id), table)
