"""Which concrete source is this location's, and what it is asked for: the other half of the composition root.

`app` calls it, and so do `controller doctor` and `controller restore`. Commands that read files or one commit make a
source of their own (`cli.manifest_files`, `cli.plan`, `cli.deployment_create`), and so does the API for a plan
(`api.serving`). It starts nothing and keeps nothing.
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
    """The source for this location: a git repository at its commits, a remote one, or the files as they are."""
    repo = location.repo
    if isinstance(repo, RemoteUrl):
        if working_tree:
            raise UsageError(f"--working-tree follows files on disk, and --repo {repo} is a URL.")
        return _remote_source(repo, location, state)
    is_git = is_git_repository(repo)
    if is_git and not working_tree:
        return GitSource(repo, ref=location.ref, path=location.path, exports=state.exports)
    if location.ref is not None:
        raise UsageError(f"--ref {location.ref} needs a git repository; {repo} is followed as a directory.")
    return DirectorySource(repo, path=location.path, follow_links=not is_git)


def _remote_source(url: RemoteUrl, location: Location, state: StateDirectory) -> RemoteSource:
    access = git_access()
    if url.is_unencrypted:
        if access.password is not None or access.password_file is not None:
            raise UsageError(f"--repo {url}: a password is not sent over http://.", hint="Use https://.")
        log.warning("Whoever is between here and the server can change what is run: use https:// or ssh://")
    return RemoteSource(
        url, ref=location.ref, path=location.path, mirror=state.mirror, exports=state.exports, access=access
    )


def make_renderer(user: FlowUser | None = None) -> Renderer:
    """How Python specs are executed: as flows are, in their environment and as their user."""
    environment = flow_environment()
    if user is None:
        return Renderer(environment=environment)
    as_whom = (user.uid, user.gid, user.groups)
    return Renderer(environment={**environment, **user.environment}, user=as_whom)


def examine(location: Location, max_running: int | None = None) -> list[Check]:
    """What `controller doctor` shows; None: of a controller with the default of --max-running."""
    state = StateDirectory(location.state_dir)
    found = checks(
        state,
        lambda: _revision(location, state),
        lambda: _watch_problem(make_source(location, state, working_tree=False)),
        max_running=max_running or DEFAULT_MAX_RUNNING,
        environment=_environment(location, state),
    )
    is_exported = isinstance(location.repo, RemoteUrl) or is_git_repository(location.repo)
    return [*found, _exports()] if is_exported else found


def _revision(location: Location, state: StateDirectory) -> str:
    """Where the followed ref leads to. A server is asked from an empty mirror: the state may be a controller's."""
    if not isinstance(location.repo, RemoteUrl):
        return make_source(location, state, working_tree=False).observe()
    with TemporaryDirectory(prefix="controller-doctor-") as place:
        return _remote_source(location.repo, location, StateDirectory(Path(place))).advertised()


def _watch_problem(source: Source) -> str | None:
    """Why the changes of this source can't be watched for; None if they can, or there is nothing to watch."""
    from controller.sources.watch import Watcher

    watcher = Watcher(lambda: None)
    try:
        watcher.watch(source.watched())
        return watcher.problem
    finally:
        watcher.close()


def _exports() -> Check:
    """What keeps flows from changing the code that other runs execute."""
    protection = find_protection()
    if protection is Protection.COMPARISON:
        return Check(
            name="exports",
            status="warning",
            message="the system refuses read-only mounts: flows, which run as root, can change the exported code;"
            " controller compares it before each run and exports it again if it was changed",
            hint="run the controller as a user of its own, give flows one with --flow-user, or grant CAP_SYS_ADMIN",
        )
    if protection is Protection.PERMISSIONS:
        message = "read-only by its permissions; controller compares it before each run"
        return Check(name="exports", status="ok", message=message)
    return Check(name="exports", status="ok", message="mounted read-only for each run, also for root")


def _environment(location: Location, state: StateDirectory) -> str | None:
    """The environment that was applied last; that of the command line where nothing was applied or can be read."""
    try:
        store = Store.look_if_any(state.database)
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
