"""Which concrete source is this location's, and what it is asked for: the other half of the composition root.

`app` calls it, and the commands that need a source without a controller. It starts nothing and keeps nothing.
"""

import logging

from controller.errors import ControllerError, UsageError
from controller.remotes import RemoteUrl
from controller.rendering import Renderer
from controller.runs.users import FlowUser
from controller.settings import (
    Location,
    flow_environment,
    git_access,
    is_git_repository,
)
from controller.sources.directory import DirectorySource
from controller.sources.git import GitSource, RemoteSource
from controller.sources.source import Source
from controller.store import Store, sources
from controller.store.directory import StateDirectory
from controller.views.health import Check, checks

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


def _remote_source(url: RemoteUrl, location: Location, state: StateDirectory) -> Source:
    access = git_access()
    if url.is_readable_on_the_way:
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


def examine(location: Location) -> list[Check]:
    """What `controller doctor` shows."""
    state = StateDirectory(location.state_dir)
    environment = _environment(location, state)
    return checks(state, lambda: make_source(location, state, working_tree=False).observe(), environment)


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
            status = sources.find(tx)
    except ControllerError:
        status = None
    finally:
        store.close()
    return location.environment if status is None else status.environment
