"""Creates the source and the renderer for a location: the second half of the composition root, next to `app`.

Also used by `controller doctor` and `controller restore`. Commands that read files or a single commit create their own
source (`cli.manifest_files`, `cli.plan`, `cli.deployment_create`), and so does the API for a plan (`api.serving`).
Nothing is started or cached here.
"""

import logging
from pathlib import Path
from tempfile import TemporaryDirectory

from controller.errors import ControllerError, UsageError
from controller.python_specs import Renderer
from controller.queries.doctor import Check, checks
from controller.remotes import RemoteUrl
from controller.runs.executors.local.users import FlowUser
from controller.runs.export_protection import Protection, find_protection
from controller.settings import DEFAULT_MAX_RUNNING, Location, flow_environment, git_access, is_git_repository
from controller.sources.directory.source import DirectorySource
from controller.sources.git import GitSource, RemoteSource
from controller.sources.source import Source
from controller.store import Store, source_status
from controller.store.state_directory import StateDirectory

log = logging.getLogger(__name__)


def make_source(location: Location, state: StateDirectory, *, working_tree: bool) -> Source:
    """Return the source for this location: a local git repository, a remote one, or a directory of plain files.

    Raises UsageError for options that this kind of source does not support.
    """
    repo = location.repo
    if isinstance(repo, RemoteUrl):
        if working_tree:
            raise UsageError(f"--working-tree follows files on disk, but --repo {repo} is a URL.")
        return _remote_source(repo, location, state)
    is_git = is_git_repository(repo)
    if is_git and not working_tree:
        return GitSource(repo, ref=location.ref, path=location.path, exports=state.exports)
    if location.ref is not None:
        raise UsageError(f"--ref {location.ref} needs a git repository, but {repo} is followed as a plain directory.")
    return DirectorySource(repo, path=location.path, follow_links=not is_git)


def _remote_source(url: RemoteUrl, location: Location, state: StateDirectory) -> RemoteSource:
    access = git_access()
    if url.is_unencrypted:
        if access.password is not None or access.password_file is not None:
            raise UsageError(f"--repo {url}: passwords are not sent over unencrypted http://.", hint="Use https://.")
        log.warning(
            "The repository is read over an unencrypted connection, so anyone on the network can change the"
            " code that is run: use https:// or ssh://"
        )
    return RemoteSource(
        url, ref=location.ref, path=location.path, mirror=state.mirror, exports=state.exports, access=access
    )


def make_renderer(user: FlowUser | None = None) -> Renderer:
    """Return the renderer of Python specs. It executes them like flows: in the same environment, as the same user."""
    environment = flow_environment()
    if user is None:
        return Renderer(environment=environment)
    return Renderer(environment={**environment, **user.environment}, user=(user.uid, user.gid, user.groups))


def examine(location: Location, max_running: int | None = None) -> list[Check]:
    """Run the checks of `controller doctor`. `max_running` is the value to check for, by default that of the option."""
    state = StateDirectory(location.state_dir)
    results = checks(
        state,
        lambda: _revision(location, state),
        lambda: _watch_problem(make_source(location, state, working_tree=False)),
        max_running=max_running or DEFAULT_MAX_RUNNING,
        environment=_environment(location, state),
    )
    is_exported = isinstance(location.repo, RemoteUrl) or is_git_repository(location.repo)
    return [*results, _exports()] if is_exported else results


def _revision(location: Location, state: StateDirectory) -> str:
    """Return the current revision of the followed ref.

    A remote server is queried from a temporary mirror, since a running controller may be using the one in the state.
    """
    if not isinstance(location.repo, RemoteUrl):
        return make_source(location, state, working_tree=False).observe()
    with TemporaryDirectory(prefix="controller-doctor-") as directory:
        return _remote_source(location.repo, location, StateDirectory(Path(directory))).advertised()


def _watch_problem(source: Source) -> str | None:
    """Return why this source can't be watched for changes; None if it can, or if there is nothing to watch."""
    from controller.sources.watch import Watcher

    watcher = Watcher(lambda: None)
    try:
        watcher.watch(source.watched())
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
    """Return the environment that was applied last, or that of the command line if the state does not tell."""
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
