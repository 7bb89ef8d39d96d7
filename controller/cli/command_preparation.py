"""Prepares the command server, so that its forks do not repeat the work that all commands have in common.

It loads modules, and runs commands with the state of the controller. That compiles their statements and fills the
caches that do not depend on a request. It closes every connection, because a fork must not share one. If the state is
in a database on a server, it runs no commands: while it waited for the server, no command could start.
"""

import importlib
from collections.abc import Iterable, Iterator
from contextlib import suppress

from controller.cli.forwarded_commands import FORWARDED
from controller.cli.main import run
from controller.settings import Location

_LOADED = (
    "controller.cli.terminal.console",
    "controller.cli.terminal.status_view",
    "controller.cli.terminal.run_tables",
    "controller.cli.terminal.deployment_tables",
    "controller.cli.terminal.event_table",
    "controller.cli.terminal.occurrence_table",
    "controller.cli.terminal.backfill_tables",
    "controller.queries.status",
    "controller.queries.deployment_details",
    "controller.queries.deployment_list",
    "controller.queries.occurrences",
    "controller.queries.fire_calendar",
    "controller.queries.backfills",
    "controller.queries.graph",
    "controller.queries.python_environments",
    "controller.client.client",
    "controller.store.access_check",
    "controller.project_names",
    "cronsim",
    "difflib",
    "secrets",
    "sqlalchemy.dialects.sqlite",
)
"""Modules that commands import inside their functions."""
_FEW = 200
"""With more deployments than this, rehearsing `status` takes much longer than it saves."""


def prepare(location: Location) -> Iterator[float]:
    """Prepare this process for the commands of this location, in steps that each take as long as a command.

    Yields after each step the seconds to wait before the next one, which are always 0. The standard streams must be
    connected to `/dev/null`. Failures are ignored, because each command loads what is missing.
    """
    _load()
    yield 0.0
    for arguments in _rehearsed(location):
        with suppress(Exception):
            run(arguments)
        yield 0.0


def _load() -> None:
    """Load the modules that commands need, and the schema."""
    with suppress(Exception):
        from controller.manifests.schema_validation import accepts

        for name in (*(f"controller.cli.{command}" for command in FORWARDED), *_LOADED):
            importlib.import_module(name)
        accepts({})


def _rehearsed(location: Location) -> Iterable[list[str]]:
    """Return the arguments of commands that only read the state; none if it can't be read, or not without waiting."""
    if location.state_url is not None:
        return []
    options = [
        f"--{name}={value}"
        for name, value in (
            ("repo", location.repo),
            ("path", location.path),
            ("ref", location.ref),
            ("state-dir", location.state_dir),
            ("environment", location.environment),
            ("project", location.project),
        )
        if value is not None
    ]
    with suppress(Exception):
        return [[*command, *options] for command in _commands(location)]
    return []


def _commands(location: Location) -> Iterable[list[str]]:
    """Yield the arguments of commands, without the options of the location. Raises StateError, UsageError."""
    from controller.cli.state_access import read_state
    from controller.store import runs
    from controller.store.inventory_changes import find_changed
    from controller.store.prepared import Prepared

    with read_state(location) as tx:
        Prepared.compile_all(tx)
        deployments = find_changed(tx, None).names
        run_id = runs.newest_id(tx)
    yield from (["runs", "list"], ["events"], ["backfills"], ["python"])
    if len(deployments) <= _FEW:
        yield ["status"]  # `deployments list` executes the same statements
    for name in sorted(deployments)[:1]:
        yield from (["deployments", "show", name], ["next", name], ["occurrences", name])
    if run_id is not None:
        yield ["runs", "show", run_id]
