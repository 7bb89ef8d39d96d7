"""The checks of `controller doctor`, on this machine and in the state of one location."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from controller.cli.doctor_executors import check_executors
from controller.cli.doctor_notifications import check_notifications
from controller.cli.doctor_python import check_python
from controller.cli.standing import describe_role
from controller.errors import ControllerError
from controller.git_directory import is_git_repository
from controller.python_environments.uv_settings import parse_uv
from controller.queries.doctor import Check, checks
from controller.remotes import RemoteUrl
from controller.runs.export_protection import Protection, find_protection
from controller.settings import DEFAULT_MAX_RUNNING, Location, UvSettings
from controller.sources.open_source import open_remote, open_source
from controller.sources.source import Source
from controller.store import Store, source_status
from controller.store.state_directory import StateDirectory


def examine(location: Location, max_running: int | None = None, uv: UvSettings | None = None) -> list[Check]:
    """Run the checks of `controller doctor`. `max_running` is the value to check for, by default that of the option."""
    state = StateDirectory.at(location)
    results = checks(
        state,
        lambda: _revision(location),
        lambda: _watch_problem(open_source(location)),
        max_running=max_running or DEFAULT_MAX_RUNNING,
        environment=_environment(location, state),
    )
    results += _role(state)
    results += check_executors(state)
    results += check_python(location, state, uv or parse_uv(None))
    results += check_notifications(state)
    is_exported = isinstance(location.repo, RemoteUrl) or is_git_repository(location.repo)
    return [*results, _exports()] if is_exported else results


def _role(state: StateDirectory) -> list[Check]:
    """Return whether the controller of this machine leads or is a standby, if it shares its state."""
    if state.database == state.file:
        return []
    try:
        role = describe_role(state)
    except ControllerError:
        return []  # the check of the database reports this error
    return [] if role is None else [Check(name="role", status="ok", message=role)]


def _revision(location: Location) -> str:
    """Return the current revision of the followed ref.

    A remote server is queried from a temporary mirror, since a running controller may be using the one in the state.
    """
    if not isinstance(location.repo, RemoteUrl):
        return open_source(location).observe()
    with TemporaryDirectory(prefix="controller-doctor-") as directory:
        return open_remote(location.repo, replace(location, state_dir=Path(directory))).list_ref()


def _watch_problem(source: Source) -> str | None:
    """Return why this source can't be watched for changes; None if it can, or if there is nothing to watch."""
    from controller.sources.watch import Watcher

    watcher = Watcher(lambda: None)
    try:
        watcher.watch(source.watched_paths())
        return watcher.problem
    finally:
        watcher.close()


def _exports() -> Check:
    """Check how the exported code is protected against changes by flows."""
    protection = find_protection()
    if protection is Protection.COMPARISON:
        return Check(
            name="exports",
            status="warning",
            message="read-only mounts are not permitted, so flows, which run as root, can change the exported code;"
            " it is verified before each run and exported again if it was changed",
            hint="run the controller as a dedicated user, set a user for flows with --flow-user,"
            " or grant CAP_SYS_ADMIN",
        )
    if protection is Protection.PERMISSIONS:
        message = "read-only by file permissions, and verified before each run"
        return Check(name="exports", status="ok", message=message)
    return Check(name="exports", status="ok", message="mounted read-only for each run, even for root")


def _environment(location: Location, state: StateDirectory) -> str | None:
    """Return the environment that was applied last, or that of the command line if the state has none."""
    try:
        store = Store.open_existing(state.database)
    except ControllerError:
        return location.environment
    if store is None:
        return location.environment
    try:
        with store.read() as tx:
            status = source_status.find(tx)
    except ControllerError:
        status = None
    finally:
        store.close()
    return location.environment if status is None else status.environment
