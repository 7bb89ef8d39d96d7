"""Lists commits with their authors, dates, subjects and manifests, with one git process. Called by `reader`.

`blame` makes its commits with `make_commit`.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from controller.model import extend
from controller.model.commits import Commit, ListedCommit
from controller.model.snapshots import PROJECT_FILE
from controller.sources.git.commands import OpenRepository
from controller.sources.source import native
from controller.text import visible

MAX_AUTHOR = 100
MAX_SUBJECT = 300
_SECONDS = 30.0
_FORMAT = "--format=%H%n%at%n%an%n%s"
_HEADER = re.compile(rb"([0-9a-f]{40}|[0-9a-f]{64})\n([^\n]*)\n([^\n]*)\n(.*)", re.DOTALL)
_MANIFESTS = (".yaml", ".yml", ".json", ".py")
_EPOCH = datetime.fromtimestamp(0, UTC)


def list_commits(repo: OpenRepository, path: str, commit: str, since: str | None, limit: int) -> list[ListedCommit]:
    """Return up to `limit` commits in the history of `commit` but not in that of `since`, newest first.

    `path` is the folder of the manifests, empty for the whole repository. A `since` that git has lost is ignored. A
    merge lists only the files that differ from all of its parents. Raises GitError.
    """
    places = [path, PROJECT_FILE] if path else []
    paths = [f":(literal){native(place)}" for place in places] or [f":(icase)*{suffix}" for suffix in _MANIFESTS]
    options = ("-z", "-c", "--name-only", "--no-renames", "--no-relative", "--no-show-signature", "--encoding=UTF-8")
    # All commits are listed, but only files at these paths.
    walk = ("--full-history", "--sparse", "--ignore-missing", f"--max-count={limit}")
    revisions = [commit, *([f"^{since}"] if since else [])]
    output = repo.run("log", *options, *walk, _FORMAT, *revisions, "--", *paths, timeout=_SECONDS)
    return list(_parse(output))


def _parse(output: bytes) -> Iterator[ListedCommit]:
    header: re.Match[bytes] | None = None
    files: set[str] = set()
    for part in output.split(b"\0"):
        match = _HEADER.fullmatch(part)
        if match is None:
            # A newline separates the header from the first file.
            files.add(part.removeprefix(b"\n").decode("utf-8", "surrogateescape"))
            continue
        if header is not None:
            yield _commit(header, files)
        header, files = match, set()
    if header is not None:
        yield _commit(header, files)


def make_commit(sha: bytes, author_time: bytes, author: bytes, subject: bytes) -> Commit:
    """Return a commit from what git prints about it: the time in seconds, the texts shortened and printable."""
    return Commit(
        sha=sha.decode("ascii"),
        author=_bounded(author, MAX_AUTHOR),
        author_date=_date(author_time),
        subject=_bounded(subject, MAX_SUBJECT),
    )


def _commit(header: re.Match[bytes], files: set[str]) -> ListedCommit:
    commit = make_commit(header[1], header[2], header[3], header[4])
    return extend(ListedCommit, commit, files=frozenset(files - {""}))


def _bounded(raw: bytes, limit: int) -> str:
    """Return untrusted text printable, on one line, and at most `limit` characters long."""
    text = visible(raw[: 4 * (limit + 1)].decode("utf-8", "replace").strip()[: limit + 1])
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _date(seconds: bytes) -> datetime:
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        return _EPOCH
