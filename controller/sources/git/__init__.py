"""Sources that read the commits of a git repository. The only package that uses GitPython.

`GitSource` follows a local repository, `RemoteSource` one behind a URL, and `NamedCommit` is one commit of a local
repository; all three are a `CommitReader`. `program` finds git and `commands` starts it. `cat_file` and `tree_diff`
read objects. `manifests` and `flow_code` hold the files of one commit, and update them by the differences to the next.
"""

from controller.sources.git.commands import find_git, origin_url
from controller.sources.git.commit_source import NamedCommit
from controller.sources.git.local import GitSource, start_repository
from controller.sources.git.remote import RemoteSource
from controller.sources.git.revisions import commit_of

__all__ = ["GitSource", "NamedCommit", "RemoteSource", "commit_of", "find_git", "origin_url", "start_repository"]
