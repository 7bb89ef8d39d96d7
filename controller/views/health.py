"""Is everything there that a controller needs? Checks of this machine, the state and the source, for `doctor`.

Each check is a value; none changes anything, and a check that fails does not keep the others from being made.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from zoneinfo import ZoneInfo

from controller.errors import ControllerError
from controller.sources.git import find_git
from controller.store.directory import StateDirectory
from controller.store.inspection import SQLITE_VERSION, inspect

LEAST_FREE_BYTES = 100 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at. `status` is `ok`, `warning` or `error`."""

    name: str
    status: str
    message: str
    hint: str | None = None


def checks(state: StateDirectory, observe: Callable[[], str]) -> list[Check]:
    """All checks; `observe` gives the present revision of the source, or raises ControllerError."""
    found = [_python(), _git(), _sqlite(), _zones(), _source(observe), _user()]
    try:
        found += _state(state)
    except OSError as error:
        place = error.filename or state.path
        found.append(Check(name="state", status="error", message=f"{place} can't be read: {error.strerror}"))
    return found


def _python() -> Check:
    return Check(name="python", status="ok", message=f"{sys.version.split()[0]} at {sys.executable}")


def _git() -> Check:
    try:
        return Check(name="git", status="ok", message=find_git())
    except ControllerError as error:
        return Check(name="git", status="error", message=error.message, hint=error.hint)


def _sqlite() -> Check:
    return Check(name="sqlite", status="ok", message=SQLITE_VERSION)


def _zones() -> Check:
    ZoneInfo("Europe/Berlin")
    return Check(name="time zones", status="ok", message=f"tzdata {version('tzdata')}")


def _source(observe: Callable[[], str]) -> Check:
    try:
        return Check(name="source", status="ok", message=observe())
    except ControllerError as error:
        return Check(name="source", status="error", message=error.message, hint=error.hint)


def _user() -> Check:
    if os.geteuid() == 0:
        return Check(
            name="user",
            status="warning",
            message="root: every flow runs as root",
            hint="run the controller as a user of its own",
        )
    return Check(name="user", status="ok", message=f"user {os.geteuid()}")


def _state(state: StateDirectory) -> Iterator[Check]:
    path = state.path
    if not path.exists():
        yield Check(name="state", status="ok", message=f"there is none yet at {path}")
        return
    found = path.stat()
    if found.st_mode & 0o077:
        mode = f"{found.st_mode & 0o777:o}"
        yield Check(name="state", status="error", message=f"{path} has mode {mode}", hint=f"chmod 700 {path}")
    elif found.st_uid != os.geteuid() and os.geteuid() != 0:
        yield Check(name="state", status="error", message=f"{path} belongs to user {found.st_uid}")
    else:
        yield Check(name="state", status="ok", message=str(path))
    yield _space(state)
    if state.database.exists():
        yield _database(state)
    holder = state.holder()
    running = "none is running" if holder is None else f"pid {holder.pid}, version {holder.version}"
    yield Check(name="controller", status="ok", message=running)


def _space(state: StateDirectory) -> Check:
    free = shutil.disk_usage(state.path).free
    status = "ok" if free >= LEAST_FREE_BYTES else "warning"
    return Check(name="disk", status=status, message=f"{free // 2**20} MiB free")


def _database(state: StateDirectory) -> Check:
    found = inspect(state.database)
    if found.problem is not None:
        return Check(name="database", status="error", message=found.problem, hint="restore it from a backup")
    if not found.is_current:
        message = f"schema {found.schema}, which is not the one of this version"
        return Check(name="database", status="warning", message=message, hint="`controller run` brings it up to date")
    return Check(name="database", status="ok", message=f"schema {found.schema}, sound")
