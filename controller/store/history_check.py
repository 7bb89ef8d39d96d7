"""Whether a state directory still has the history that was written to it. Asked before the database is written to.

A run's row is on disk before its directory exists, and the newest run of a deployment is never forgotten. So the
directory of a run that is newer than every run of the database shows that the database was emptied, restored or cut
short. A controller that went on with it would repeat due times and lose sight of flows that run.
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
    """Raises StateLostError if the database lacks what the rest of the state shows; StateError if it can't be read."""
    check_presence(state)
    if not state.database.exists():
        return
    newest = database.newest_run(state.database)
    if newest is None:
        raise _lost(state, f"{state.database.name} has no tables")
    lost = [name for name in _run_ids(state) if name > newest]
    if lost:
        raise StateLostError(
            f"{state.database} has lost its history: it has no record of {_count(lost)} in {state.runs}.",
            hint="Restore the database from a newer backup. "
            f"Or go on with this one, without those runs: {_move(state.runs)}",
        )


def check_presence(state: StateDirectory) -> None:
    """The same by the files alone: what a command that only looks can say, and what needs no database."""
    try:
        found = _missing(state)
    except OSError as error:
        raise StateError(f"The state directory {state.path} can't be read: {error.strerror}.") from error
    if found is not None:
        raise _lost(state, found)


def _lost(state: StateDirectory, what: str) -> StateLostError:
    return StateLostError(
        f"The state directory {state.path} has lost its history: {what}.",
        hint=f"Restore the directory from a backup. Or start with an empty state: {_move(state.path)}",
    )


def _missing(state: StateDirectory) -> str | None:
    name = state.database.name
    if state.database.exists():
        return None if state.database.stat().st_size else f"{name} is empty"
    runs = list(_run_ids(state))
    if runs:
        return f"{name} is missing, and {state.runs.name} has the files of {_count(runs)}"
    wal = state.database.with_name(f"{name}-wal")
    left = next((file.name for file in (wal, state.path / "token.sha256") if file.exists()), None)
    return None if left is None else f"{name} is missing, and {left} is there"


def _run_ids(state: StateDirectory) -> Iterator[str]:
    if state.runs.is_dir():
        yield from (path.name for path in state.runs.iterdir() if _RUN_ID.fullmatch(path.name))


def _count(runs: list[str]) -> str:
    return "1 run" if len(runs) == 1 else f"{len(runs)} runs"


def _move(path: Path) -> str:
    """The words that put something aside, under a name that is free."""
    aside = path.with_name(f"{path.name}.lost")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.lost{number}")
    return f"mv {shlex.quote(str(path))} {shlex.quote(str(aside))}"
