"""Finds the commit that last changed each line of a file, with one `git blame`. Called by `reader`.

Nothing from the configuration of the repository is executed: text converters are off. Files with revisions to ignore
have no effect.
"""

from collections.abc import Iterator

from controller.model.commits import Commit
from controller.sources.git.commands import OpenRepository
from controller.sources.git.commit_log import make_commit
from controller.sources.git.repository import read_regular
from controller.sources.source import native

_SECONDS = 2.0
_HEADER_PARTS = (3, 4)


def blame_lines(repo: OpenRepository, commit: str, path: str, lines: range) -> dict[int, Commit]:
    """Return the commit that last changed each of these lines, from 1, of a file at `commit`.

    Lines that are older than the history of a shallow clone are left out. Raises GitError, also after two seconds.
    """
    options = ("--porcelain", "--root", "--no-textconv", "--encoding=UTF-8", "--ignore-revs-file=")
    place = ("-L", f"{lines.start},{lines.stop - 1}", commit, "--", native(path))
    output = repo.run("blame", *options, *place, timeout=_SECONDS)
    oldest = _shallow_commits(repo)
    return {number: changed for number, changed in _parse(output) if changed.sha not in oldest}


def _parse(output: bytes) -> Iterator[tuple[int, Commit]]:
    """Yield the lines with their commits. The facts of a commit come with the first of its lines only."""
    facts: dict[bytes, dict[bytes, bytes]] = {}
    commits: dict[bytes, Commit] = {}
    sha, number = b"", 0
    for line in output.split(b"\n"):
        if line.startswith(b"\t"):
            own = facts[sha]
            if sha not in commits:
                commits[sha] = make_commit(sha, own.get(b"author-time", b""), own.get(b"author", b""), own[b"summary"])
            yield number, commits[sha]
            sha = b""
        elif not sha:
            parts = line.split(b" ")
            if len(parts) in _HEADER_PARTS:
                sha, number = parts[0], int(parts[2])
                facts.setdefault(sha, {b"summary": b""})
        else:
            key, _, value = line.partition(b" ")
            facts[sha][key] = value


def _shallow_commits(repo: OpenRepository) -> frozenset[str]:
    """Return the oldest commits of a shallow clone, to which blame attributes all that is older."""
    try:
        content = read_regular(repo.common_dir / "shallow")
    except (OSError, ValueError):
        return frozenset()
    return frozenset(content.decode("ascii", "replace").split())
