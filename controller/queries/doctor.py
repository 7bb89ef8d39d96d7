"""The checks of `controller doctor`: the machine, the state and the source.

Checks change nothing. All of them are always made, even if some fail. `controller.cli.doctor_checks` calls them.
"""

import os
import resource
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from zoneinfo import ZoneInfo

from controller.errors import ControllerError, StateError
from controller.model.leaders import Leader
from controller.records import dataclass
from controller.sources.git import find_git
from controller.state_url import StateUrl
from controller.store.history_check import check_presence
from controller.store.integrity_check import SQLITE_VERSION, check_integrity
from controller.store.server_check import check_server
from controller.store.state_directory import StateDirectory
from controller.time_format import format_time

LEAST_FREE_BYTES = 100 * 2**20
NEEDED_DESCRIPTORS = 90
"""File descriptors that a controller needs in addition to one per running flow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The result of one check. `status` is `ok`, `warning` or `error`."""

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
    """Make all checks.

    Args:
        state: the state directory, which need not exist.
        observe: returns the current revision of the source, or raises ControllerError.
        watch: returns why the source can't be watched for changes, or None if it can; raises ControllerError.
        max_running: how many flows should be able to run at once; None leaves out the check of open files.
        environment: the environment whose overlays are applied, if any.
    """
    results = [_python(), _git(), _sqlite(), _zones(), _source(observe), _environment(environment), _watching(watch)]
    results.append(_user())
    if max_running is not None:
        results.append(_open_files(max_running))
    try:
        results += _state(state)
    except OSError as error:
        path = error.filename or state.path
        results.append(Check(name="state", status="error", message=f"{path} can't be read: {error.strerror}"))
    return results


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
        problem = None  # the check of the source reports this error
    if problem is None:
        return Check(name="watching", status="ok", message="local changes are noticed at once")
    message = f"changes are only noticed by polling: {problem}"
    hint = "fix the cause, or shorten `--interval`; the controller retries by itself"
    return Check(name="watching", status="warning", message=message, hint=hint)


def _user() -> Check:
    if os.geteuid() == 0:
        return Check(
            name="user",
            status="warning",
            message="root: every flow runs as root",
            hint="run the controller as a dedicated user",
        )
    return Check(name="user", status="ok", message=f"user {os.geteuid()}")


def _open_files(max_running: int) -> Check:
    """Check that the hard limit allows a descriptor per flow; the controller raises its soft limit itself."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = NEEDED_DESCRIPTORS + max_running
    if hard == resource.RLIM_INFINITY or hard >= needed:
        limit = "unlimited" if hard == resource.RLIM_INFINITY else f"limit {hard}"
        return Check(name="open files", status="ok", message=f"{limit}, enough for --max-running {max_running}")
    return Check(
        name="open files",
        status="warning",
        message=f"limit {hard}, but --max-running {max_running} needs {needed}",
        hint="raise it with `ulimit -n`, or with LimitNOFILE= in the systemd unit",
    )


def _state(state: StateDirectory) -> Iterator[Check]:
    path = state.path
    if not path.exists():
        yield _no_state(path)
        return
    status = path.stat()
    wrong_mode = Check(
        name="state",
        status="error",
        message=f"{path} has mode {status.st_mode & 0o777:03o}",
        hint=f"chmod 700 {shlex.quote(str(path))}",
    )
    if status.st_mode & 0o077:
        yield wrong_mode
    elif status.st_uid != os.geteuid() and os.geteuid() != 0:
        yield Check(name="state", status="error", message=f"{path} belongs to user {status.st_uid}")
        pid = state.find_holder_pid()
        message = "unknown: only that user can check" if pid is None else f"pid {pid}, of user {status.st_uid}"
        yield Check(name="controller", status="ok", message=message)
        return
    elif not os.access(path, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
        yield wrong_mode
        return
    else:
        yield Check(name="state", status="ok", message=str(path))
    yield _space(state)
    try:
        check_presence(state)
    except StateError as error:
        yield Check(name="history", status="error", message=error.message, hint=error.hint)
    else:
        if isinstance(state.database, StateUrl):
            yield from _server(state.database)
        elif state.file.exists():
            yield _database(state.file)
    holder = state.holder()
    message = "not running" if holder is None else f"pid {holder.pid}, version {holder.version}"
    yield Check(name="controller", status="ok", message=message)


def _no_state(path: Path) -> Check:
    """Check that the controller can create its state directory."""
    parent = next(directory for directory in path.parents if directory.exists())
    if os.access(parent, os.W_OK | os.X_OK, effective_ids=True):
        return Check(name="state", status="ok", message=f"none yet at {path}")
    message = f"{path} can't be created: {parent} is not a directory in which this user can write"
    hint = "let the user of the controller write there, or choose another --state-dir"
    return Check(name="state", status="error", message=message, hint=hint)


def _space(state: StateDirectory) -> Check:
    free = shutil.disk_usage(state.path).free
    status = "ok" if free >= LEAST_FREE_BYTES else "warning"
    return Check(name="disk", status=status, message=f"{free // 2**20} MiB free")


def _server(url: StateUrl) -> Iterator[Check]:
    try:
        report = check_server(url)
    except StateError as error:
        yield Check(name="database", status="error", message=error.message, hint=error.hint)
        return
    if not report.is_current:
        message = f"{url}: schema {report.schema} is not that of this version of controller"
        yield Check(name="database", status="warning", message=message, hint="`controller run` migrates it")
        return
    schema = "no tables yet" if report.schema is None else f"schema {report.schema}"
    yield Check(name="database", status="ok", message=f"{url}: PostgreSQL {report.server}, {schema}")
    yield _leader(report.leader)


def _leader(leader: Leader | None) -> Check:
    if leader is None or not leader.leads:
        return Check(name="leader", status="warning", message="no controller leads: no flow starts")
    since = format_time(leader.since, None)
    message = f"pid {leader.pid} on {leader.host}, version {leader.version}, term {leader.term}, since {since}"
    message += ", without an address for standbys" if leader.url is None else f", at {leader.url}"
    return Check(name="leader", status="ok", message=message)


def _database(file: Path) -> Check:
    report = check_integrity(file)
    if report.problem is not None:
        return Check(name="database", status="error", message=report.problem, hint="restore it from a backup")
    if not report.is_current:
        message = f"schema {report.schema} is not that of this version of controller"
        return Check(name="database", status="warning", message=message, hint="`controller run` migrates it")
    return Check(name="database", status="ok", message=f"schema {report.schema}, no damage found")
