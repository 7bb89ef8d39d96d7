"""Converts between revisions, which users see and the database stores, and commit ids; validates names of refs."""

import re

from controller.errors import SourceError

COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_NOT_IN_REFS = re.compile(r"[\0-\x20\x7f~^:?*\[\\\ud800-\udfff]|\.\.|@\{|//")


def commit_of(revision: str) -> str:
    """Return the commit id of a revision. Raises SourceError if the text does not contain one."""
    commit = revision.rpartition(":")[2]
    if not COMMIT.fullmatch(commit):
        raise SourceError(f"{revision} does not name a commit.")
    return commit


def revision_of(label: str, commit: str) -> str:
    """Return `main@sha1:<commit>` for a branch or tag, `sha1:<commit>` without a label."""
    algorithm = "sha1" if len(commit) == 40 else "sha256"
    return f"{label}@{algorithm}:{commit}" if label else f"{algorithm}:{commit}"


def check_ref(ref: str | None) -> str | None:
    """Return the short name of a branch, a tag or a commit; None for HEAD, the branch that is followed by default.

    Raises SourceError if it can't be the name of one, before git gets it.
    """
    if ref is None or ref == "HEAD":
        return None
    if not is_ref_name(ref):
        raise SourceError(
            f"--ref {ref!r} can't be the name of a branch, a tag or a commit.",
            hint="See `git help check-ref-format` for the allowed names.",
        )
    return ref.removeprefix("refs/heads/")


def is_ref_name(name: str) -> bool:
    """Whether `git check-ref-format --branch` accepts this name, except for expressions that it expands (`@{-1}`).

    Such a name is never an option, a URL or an expression. See gitcheckrefformat(1).
    """
    parts = name.split("/")
    return (
        name not in ("", "@")
        and not name.startswith("-")
        and not name.endswith(".")
        and _NOT_IN_REFS.search(name) is None
        and all(part and not part.startswith(".") and not part.endswith(".lock") for part in parts)
    )
