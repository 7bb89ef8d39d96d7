"""Checks that the database of a state directory is complete. `app` calls this before it opens the database.

A run's row is on disk before its directory exists, and the newest run of a deployment is never deleted. So a run
directory that is newer than every run in the database proves that the database was emptied, truncated or restored from
an older backup. A controller that used it would repeat due times and lose track of running flows.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from controller.errors import StateError, StateLostError
from controller.store import database
from controller.store.state_directory import StateDirectory

_RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def check_history(state: StateDirectory) -> None:
    """Raise StateLostError if runs are missing from the database, and StateError if the state can't be read."""
    check_presence(state)
    if not database.exists(state.database):
        return
    newest = database.newest_run(state.database)
    if newest is None:
        raise _lost(state, f"{state.file.name} has no tables")
    missing = [name for name in _run_ids(state) if name > newest]
    if missing:
        raise StateLostError(
            f"{state.database} has lost its history: it has no record of {_count(missing)} in {state.runs}.",
            hint="Restore the database from a newer backup. "
            f"Or continue with this one, without those runs: {_move_command(state.runs)}",
        )


def check_presence(state: StateDirectory) -> None:
    """Check only which files exist, without opening the database. Raises the same errors as `check_history`."""
    if state.database != state.file:
        return
    try:
        problem = _missing_file(state)
    except OSError as error:
        raise StateError(f"The state directory {state.path} can't be read: {error.strerror}.") from error
    if problem is not None:
        raise _lost(state, problem)


def _lost(state: StateDirectory, problem: str) -> StateLostError:
    copied = state.file.with_name(f"{state.file.name}.copied")
    if copied.exists() and not state.file.exists():
        return StateLostError(
            f"The state of {state.path} was copied to another place by `controller state copy`.",
            hint="Name that place with --state-url. Or continue with the state as it was before the copy: "
            f"mv {shlex.quote(str(copied))} {shlex.quote(str(state.file))}",
        )
    return StateLostError(
        f"The state directory {state.path} has lost its history: {problem}.",
        hint=f"Restore the directory from a backup. Or start with an empty state: {_move_command(state.path)}",
    )


def _missing_file(state: StateDirectory) -> str | None:
    name = state.file.name
    if state.file.exists():
        return None if state.file.stat().st_size else f"{name} is empty"
    runs = list(_run_ids(state))
    if runs:
        return f"{name} is missing, but {state.runs.name} has the files of {_count(runs)}"
    wal = state.file.with_name(f"{name}-wal")
    leftover = next((file.name for file in (wal, state.path / "token.sha256") if file.exists()), None)
    return None if leftover is None else f"{name} is missing, but {leftover} exists"


def _run_ids(state: StateDirectory) -> Iterator[str]:
    if state.runs.is_dir():
        yield from (path.name for path in state.runs.iterdir() if _RUN_ID.fullmatch(path.name))


def _count(runs: list[str]) -> str:
    return "1 run" if len(runs) == 1 else f"{len(runs)} runs"


def _move_command(path: Path) -> str:
    """Return the shell command that renames `path` to an unused name beside it."""
    aside = path.with_name(f"{path.name}.lost")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.lost{number}")
    return f"mv {shlex.quote(str(path))} {shlex.quote(str(aside))}"
