"""Searches everything that has a page: deployments, tags, files, runs, backfills, and the pages themselves.

Called by the API for the command palette. It reads the cached list of deployments, and the database only for a
text that can be an id.
"""

import heapq
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote

from controller.queries.deployments import DeploymentView
from controller.store import Transaction, backfills, runs

_PAGES = ("Overview", "Deployments", "Runs", "Backfills", "Source", "Events")
_ID = re.compile(r"[0-9a-f-]{4,36}")
_SHORT_ID = 12
_MATCHES_BY_ID = 5


class ResultKind(StrEnum):
    """The kinds of search results, in the order of results that match equally well."""

    DEPLOYMENT = "deployment"
    PAGE = "page"
    TAG = "tag"
    FILE = "file"
    RUN = "run"
    BACKFILL = "backfill"


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """One result: `path` is its page on the dashboard, and `detail` tells it from results with the same name.

    `status` is the health of a deployment, the state of a run or backfill, and None otherwise.
    """

    kind: ResultKind
    name: str
    detail: str
    status: str | None
    path: str


class NamePattern:
    """Ranks names by how well they match a text. Case and spaces in the text do not matter."""

    def __init__(self, text: str) -> None:
        self.text = "".join(text.lower().split())
        letters = [re.escape(letter) for letter in self.text]
        self._subsequence = re.compile(".*?".join(letters), re.DOTALL)
        self._initials = re.compile(r"(?:^|[^a-z0-9])" + r".*?[^a-z0-9]".join(letters), re.DOTALL)

    def rank(self, name: str) -> int | None:
        """Return 0 for the same name, up to 5 for one with the letters of the text in order, and None for others."""
        name = name.lower()
        if self._subsequence.search(name) is None:
            return None
        position = name.find(self.text)
        if position == 0:
            return 0 if name == self.text else 1
        if self._initials.search(name) is not None:
            return 2
        if position < 0:
            return 5
        return 4 if name[position - 1].isalnum() else 3


def search(tx: Transaction, deployments: Sequence[DeploymentView], text: str, limit: int) -> list[SearchResult]:
    """Return up to `limit` results, the best match first.

    Names of deployments match by letters in order (`whc` matches `warehouse-cube`), tags and files by a part, runs and
    backfills by the beginning of their id or its last 12 characters.
    """
    pattern = NamePattern(text)
    if not pattern.text:
        return []
    kinds = list(ResultKind)
    ranked = [
        (rank, kinds.index(result.kind), len(result.name), result.name, number, result)
        for number, (rank, result) in enumerate(_matches(tx, deployments, pattern))
    ]
    return [result for *_, result in heapq.nsmallest(limit, ranked)]


def _matches(
    tx: Transaction, deployments: Sequence[DeploymentView], pattern: NamePattern
) -> Iterator[tuple[int, SearchResult]]:
    for view in deployments:
        rank = pattern.rank(view.name)
        if rank is not None:
            yield rank, _deployment(view)
    for page in _PAGES:
        rank = pattern.rank(page)
        if rank is not None and rank <= 1:
            path = "/" if page == "Overview" else f"/{page.lower()}"
            yield rank, SearchResult(kind=ResultKind.PAGE, name=page, detail="", status=None, path=path)
    for rank, result in (*_tags(deployments, pattern), *_files(deployments, pattern)):
        yield rank, result
    if _ID.fullmatch(pattern.text):
        yield from ((1, result) for result in _by_id(tx, pattern.text))


def _deployment(view: DeploymentView) -> SearchResult:
    return SearchResult(
        kind=ResultKind.DEPLOYMENT,
        name=view.name,
        detail=", ".join(view.tags),
        status=view.health.value,
        path=f"/deployments/{view.name}",
    )


def _tags(deployments: Sequence[DeploymentView], pattern: NamePattern) -> Iterator[tuple[int, SearchResult]]:
    counts: dict[str, int] = {}
    for view in deployments:
        for tag in view.tags:
            counts[tag] = counts.get(tag, 0) + 1
    for tag, count in counts.items():
        rank = pattern.rank(tag)
        if rank is not None and rank <= 4:
            detail = f"{count} deployment{'' if count == 1 else 's'}"
            path = f"/deployments?tag={quote(tag, safe='')}"
            yield rank, SearchResult(kind=ResultKind.TAG, name=tag, detail=detail, status=None, path=path)


def _files(deployments: Sequence[DeploymentView], pattern: NamePattern) -> Iterator[tuple[int, SearchResult]]:
    """The files that declare deployments. The page of a file is that of the first deployment in it."""
    first: dict[str, DeploymentView] = {}
    for view in deployments:
        if pattern.text in view.file.lower():
            other = first.get(view.file)
            if other is None or view.line < other.line:
                first[view.file] = view
    for file, view in first.items():
        rank = pattern.rank(file.rpartition("/")[2])
        result = SearchResult(
            kind=ResultKind.FILE, name=file, detail=view.name, status=None, path=f"/deployments/{view.name}"
        )
        yield (4 if rank is None else max(rank, 1)), result


def _by_id(tx: Transaction, text: str) -> Iterator[SearchResult]:
    for run in runs.find_by_id_part(tx, text, _MATCHES_BY_ID, is_end=len(text) == _SHORT_ID):
        yield SearchResult(
            kind=ResultKind.RUN,
            name=run.deployment,
            detail=run.id[-_SHORT_ID:],
            status=run.state.public.value,
            path=f"/runs/{run.id}",
        )
    for backfill in backfills.find_by_prefix(tx, text, _MATCHES_BY_ID):
        yield SearchResult(
            kind=ResultKind.BACKFILL,
            name=backfill.deployment,
            detail=backfill.id[-_SHORT_ID:],
            status=backfill.state.value,
            path=f"/backfills/{backfill.id}",
        )
