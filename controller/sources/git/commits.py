"""How a commit is named: as the revision that people see and the database keeps, and as the id that git takes."""

import re

from controller.errors import SourceError

COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+@-]*")


def commit_of(revision: str) -> str:
    """The commit id in a revision. Raises SourceError for anything that is none."""
    commit = revision.rpartition(":")[2]
    if not COMMIT.fullmatch(commit):
        raise SourceError(f"{revision} does not name a commit.")
    return commit


def revision_of(label: str, commit: str) -> str:
    """`main@sha1:<commit>` for a branch or tag, `sha1:<commit>` without a label."""
    algorithm = "sha1" if len(commit) == 40 else "sha256"
    return f"{label}@{algorithm}:{commit}" if label else f"{algorithm}:{commit}"


def check_ref(ref: str | None) -> str | None:
    """The same, if it can be the name of a branch, a tag or a commit. Raises SourceError before git sees it."""
    if ref is not None and (not _REF.fullmatch(ref) or ".." in ref or "@{" in ref):
        raise SourceError(f"--ref {ref!r} is not the name of a branch, a tag or a commit.")
    return ref
