"""Commits: who changed the repository, when and why. `sources` reads, `store` records and `queries` shows them."""

from datetime import datetime

from controller.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One commit. `author` and `subject` are shortened and printable; `author_date` is the author's, not checked."""

    sha: str
    author: str
    author_date: datetime
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedCommit(Commit):
    """A commit with the manifests that it added, changed or removed, by their paths."""

    files: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentNames:
    """A number of deployments, and the first 100 of their names, sorted."""

    count: int = 0
    names: tuple[str, ...] = ()


MAX_NAMES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCommit(Commit):
    """A commit that a pass has seen, with the deployments that it added, changed and removed."""

    added: DeploymentNames = DeploymentNames()
    changed: DeploymentNames = DeploymentNames()
    removed: DeploymentNames = DeploymentNames()


def commit_id(revision: str | None) -> str:
    """Return the part of a revision that names its commit; for a directory, a digest that no commit has."""
    return (revision or "").rpartition(":")[2]
