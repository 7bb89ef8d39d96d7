"""Repositories that are followed at their committed state. The only package that knows GitPython.

`GitSource` is a local repository, `RemoteSource` one behind a URL, `NamedCommit` one commit of a local one; all are a
`CommitReader`. Below, one noun each: `program` finds git, `commands` starts it, `cat_file` and `tree_diff` read what it
stores, `manifests` and `flow_code` keep what is known of one commit and move it to the next.
"""

from controller.sources.git.commands import find_git
from controller.sources.git.commit_source import NamedCommit
from controller.sources.git.local import GitSource, start_repository
from controller.sources.git.remote import RemoteSource
from controller.sources.git.revisions import commit_of

__all__ = ["GitSource", "NamedCommit", "RemoteSource", "commit_of", "find_git", "start_repository"]
