"""Is everything there that a controller needs? Checks of this machine, the state and the source, for `doctor`.

Each check is a value; none changes anything, and a check that fails does not keep the others from being made.
"""

import os
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from zoneinfo import ZoneInfo

from controller.errors import ControllerError, StateError
from controller.sources.git import find_git
from controller.store.history_check import check_presence
from controller.store.integrity_check import SQLITE_VERSION, check_integrity
from controller.store.state_directory import StateDirectory

LEAST_FREE_BYTES = 100 * 2**20
NEEDED_DESCRIPTORS = 90
"""What a controller needs besides one descriptor for each flow that runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at. `status` is `ok`, `warning` or `error`."""

    name: str
    status: str
    message: str
    hint: str | None = None


def checks(
    state: StateDirectory,
    observe: Callable[[], str],
    watch: Callable[[], str | None],
    *,
    max_running: int | None = None,
    environment: str | None = None,
) -> list[Check]:
    """All checks. `observe` gives the present revision of the source, or raises ControllerError.

    `watch` says why its changes can't be watched for; None if they can. `max_running`: how many flows are to run at
    once. `environment` is the one whose overlays are applied, None where none are.
    """
    found = [_python(), _git(), _sqlite(), _zones(), _source(observe), _environment(environment), _watching(watch)]
    found.append(_user())
    if max_running is not None:
        found.append(_open_files(max_running))
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


def _environment(name: str | None) -> Check:
    return Check(name="environment", status="ok", message=name or "none: no overlays are applied")


def _watching(watch: Callable[[], str | None]) -> Check:
    try:
        problem = watch()
    except ControllerError:
        problem = None  # the source itself says what is wrong
    if problem is None:
        return Check(name="watching", status="ok", message="changes are noticed at once where they can be watched for")
    message = f"changes are noticed by polling only: {problem}"
    hint = "free what is used up, or shorten `--interval`; the controller tries again by itself"
    return Check(name="watching", status="warning", message=message, hint=hint)


def _user() -> Check:
    if os.geteuid() == 0:
        return Check(
            name="user",
            status="warning",
            message="root: every flow runs as root",
            hint="run the controller as a user of its own",
        )
    return Check(name="user", status="ok", message=f"user {os.geteuid()}")


def _open_files(max_running: int) -> Check:
    """Whether this process could have a descriptor for each flow; a controller raises the soft limit itself."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = NEEDED_DESCRIPTORS + max_running
    if hard == resource.RLIM_INFINITY or hard >= needed:
        most = "without limit" if hard == resource.RLIM_INFINITY else f"up to {hard}"
        return Check(name="open files", status="ok", message=f"{most}, for --max-running {max_running}")
    return Check(
        name="open files",
        status="warning",
        message=f"the limit is {hard}; {needed} are needed for --max-running {max_running}",
        hint="raise it with `ulimit -n`, or LimitNOFILE= of the systemd unit",
    )


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
        pid = state.holder_seen_from_outside()
        said = "only that user can tell" if pid is None else f"pid {pid}, of user {found.st_uid}"
        yield Check(name="controller", status="ok", message=said)
        return
    else:
        yield Check(name="state", status="ok", message=str(path))
    yield _space(state)
    try:
        check_presence(state)
    except StateError as error:
        yield Check(name="history", status="error", message=error.message, hint=error.hint)
    else:
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
    found = check_integrity(state.database)
    if found.problem is not None:
        return Check(name="database", status="error", message=found.problem, hint="restore it from a backup")
    if not found.is_current:
        message = f"schema {found.schema}, which is not the one of this version"
        return Check(name="database", status="warning", message=message, hint="`controller run` brings it up to date")
    return Check(name="database", status="ok", message=f"schema {found.schema}, sound")
