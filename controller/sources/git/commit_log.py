"""Lists commits with their authors, dates, subjects and manifests, with one git process. Called by `reader`."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from controller.model.commits import ListedCommit
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


def _commit(header: re.Match[bytes], files: set[str]) -> ListedCommit:
    return ListedCommit(
        sha=header[1].decode("ascii"),
        author=_bounded(header[3], MAX_AUTHOR),
        author_date=_date(header[2]),
        subject=_bounded(header[4], MAX_SUBJECT),
        files=frozenset(files - {""}),
    )


def _bounded(raw: bytes, limit: int) -> str:
    """Return untrusted text printable, on one line, and at most `limit` characters long."""
    text = visible(raw[: 4 * (limit + 1)].decode("utf-8", "replace").strip()[: limit + 1])
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _date(seconds: bytes) -> datetime:
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        return _EPOCH
