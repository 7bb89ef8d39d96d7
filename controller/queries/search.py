"""Searches everything that has a page: deployments, tags, files, runs, backfills, and the pages themselves.

Called by the API for the command palette. It reads the cached list of deployments, and the database only for a
text that can be an id.
"""

import heapq
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from functools import partial
from urllib.parse import quote

from controller.queries.deployments import DeploymentView
from controller.records import dataclass
from controller.store import Transaction, backfills, runs

_PAGES = ("Overview", "Deployments", "Graph", "Runs", "Backfills", "Source", "Events", "Settings")
_ID = re.compile(r"[0-9a-f-]{4,36}")
_INITIAL = re.compile(r"(?:^|(?<=[^A-Za-z0-9]))[A-Za-z0-9]|(?<=[a-z0-9])[A-Z]")
"""The first letters of words: `w` and `c` of `warehouse-cube`, `WarehouseCube` and `warehouse_cube`."""
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


_KINDS = list(ResultKind)
_Match = tuple[int, ResultKind, str, Callable[[], SearchResult]]
"""The rank, kind and name of a result, and what makes it: only the best matches become results."""


class NamePattern:
    """Ranks names by how well they match a text. Case and spaces in the text do not matter."""

    def __init__(self, text: str) -> None:
        self.text = "".join(text.lower().split())

    def rank(self, name: str) -> int | None:
        """Return 0 for the same name, up to 5 for one with the letters of the text in order, and None for others."""
        folded = name.lower()
        position = folded.find(self.text)
        if position == 0:
            return 0 if folded == self.text else 1
        if position < 0 and not _has_in_order(folded, self.text):
            return None
        if _has_in_order("".join(_INITIAL.findall(name)).lower(), self.text):
            return 2
        if position < 0:
            return 5
        return 4 if folded[position - 1].isalnum() else 3


def _has_in_order(name: str, letters: str) -> bool:
    """Return whether these letters occur in the name in order. A regular expression could take exponential time."""
    position = -1
    return all((position := name.find(letter, position + 1)) >= 0 for letter in letters)


def search(tx: Transaction, deployments: Sequence[DeploymentView], text: str, limit: int) -> list[SearchResult]:
    """Return up to `limit` results, the best match first.

    Names of deployments match by letters in order (`whc` matches `warehouse-cube`), tags and files by a part, runs and
    backfills by the beginning of their id or its last 12 characters.
    """
    pattern = NamePattern(text)
    if not pattern.text:
        return []
    best = heapq.nsmallest(limit, _matches(tx, deployments, pattern), key=_order)
    return [make() for _, _, _, make in best]


def _order(match: _Match) -> tuple[int, int, int, str]:
    rank, kind, name, _ = match
    return rank, _KINDS.index(kind), len(name), name


def _matches(tx: Transaction, deployments: Sequence[DeploymentView], pattern: NamePattern) -> Iterator[_Match]:
    for view in deployments:
        rank = pattern.rank(view.name)
        if rank is not None:
            yield rank, ResultKind.DEPLOYMENT, view.name, partial(_deployment, view)
    for page in _PAGES:
        rank = pattern.rank(page)
        if rank is not None and rank <= 1:
            yield rank, ResultKind.PAGE, page, partial(_page, page)
    yield from _tags(deployments, pattern)
    yield from _files(deployments, pattern)
    if _ID.fullmatch(pattern.text):
        for result in _by_id(tx, pattern.text):
            yield 1, result.kind, result.name, partial(_itself, result)


def _itself(result: SearchResult) -> SearchResult:
    return result


def _page(name: str) -> SearchResult:
    path = "/" if name == "Overview" else f"/{name.lower()}"
    return SearchResult(kind=ResultKind.PAGE, name=name, detail="", status=None, path=path)


def _deployment(view: DeploymentView) -> SearchResult:
    return SearchResult(
        kind=ResultKind.DEPLOYMENT,
        name=view.name,
        detail=", ".join(view.tags),
        status=view.health.value,
        path=f"/deployments/{view.name}",
    )


def _tags(deployments: Sequence[DeploymentView], pattern: NamePattern) -> Iterator[_Match]:
    counts = Counter(tag for view in deployments for tag in view.tags)
    for tag, count in counts.items():
        rank = pattern.rank(tag)
        if rank is not None and rank <= 4:
            yield rank, ResultKind.TAG, tag, partial(_tag, tag, count)


def _tag(tag: str, count: int) -> SearchResult:
    detail = f"{count} deployment{'' if count == 1 else 's'}"
    path = f"/deployments?tag={quote(tag, safe='')}"
    return SearchResult(kind=ResultKind.TAG, name=tag, detail=detail, status=None, path=path)


def _files(deployments: Sequence[DeploymentView], pattern: NamePattern) -> Iterator[_Match]:
    """Yield the files that declare deployments. The page of a file is that of the first deployment in it."""
    first: dict[str, DeploymentView] = {}
    for view in deployments:
        if pattern.text in view.file.lower():
            other = first.get(view.file)
            if other is None or view.line < other.line:
                first[view.file] = view
    for file, view in first.items():
        rank = pattern.rank(file.rpartition("/")[2])
        yield (4 if rank is None else max(rank, 1)), ResultKind.FILE, file, partial(_file, file, view.name)


def _file(file: str, deployment: str) -> SearchResult:
    path = f"/deployments/{deployment}"
    return SearchResult(kind=ResultKind.FILE, name=file, detail=deployment, status=None, path=path)


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
