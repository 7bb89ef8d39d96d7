"""Opens the source that a location names. Nothing is started or cached here.

`app`, the API and the commands use it. Commands that read files on disk, without a state directory, open them directly
(`cli.manifest_files`, `cli.deployment_create`).
"""

import logging

from controller.errors import UsageError
from controller.git_directory import is_git_repository
from controller.remotes import RemoteUrl
from controller.settings import Location, git_access
from controller.sources.git import GitSource, NamedCommit, RemoteSource
from controller.sources.source import Source

log = logging.getLogger(__name__)


def open_source(location: Location, *, working_tree: bool = False) -> Source:
    """Return the source for this location: a local git repository, a remote one, or a directory of plain files.

    Raises UsageError for options that this kind of source does not support.
    """
    repo = location.repo
    if isinstance(repo, RemoteUrl):
        if working_tree:
            raise UsageError(f"--working-tree follows files on disk, but --repo {repo} is a URL.")
        return open_remote(repo, location)
    is_git = is_git_repository(repo)
    if is_git and not working_tree:
        return GitSource(repo, ref=location.ref, path=location.path, exports=location.state_dir / "exports")
    if location.ref is not None:
        raise UsageError(f"--ref {location.ref} needs a git repository, but {repo} is followed as a plain directory.")
    from controller.sources.directory.source import DirectorySource

    return DirectorySource(repo, path=location.path, follow_links=not is_git)


def open_commit(location: Location, name: str) -> Source:
    """Return the source of one named commit of this location's repository, or of its mirror if that is remote."""
    repo = location.state_dir / "mirror" if isinstance(location.repo, RemoteUrl) else location.repo
    return NamedCommit(repo, name, path=location.path)


def open_remote(url: RemoteUrl, location: Location) -> RemoteSource:
    """Return the source for a repository behind a URL. Raises UsageError if it would send a password unencrypted."""
    access = git_access()
    if url.is_unencrypted:
        if access.password is not None or access.password_file is not None:
            raise UsageError(f"--repo {url}: passwords are not sent over unencrypted http://.", hint="Use https://.")
        log.warning(
            "The repository is read over an unencrypted connection, so anyone on the network can change the"
            " code that is run: use https:// or ssh://"
        )
    state = location.state_dir
    return RemoteSource(
        url, ref=location.ref, path=location.path, mirror=state / "mirror", exports=state / "exports", access=access
    )
