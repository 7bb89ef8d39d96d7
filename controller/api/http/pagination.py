"""Pagination of long lists: the items of a page, and the cursor of the next one.

The routes of lists call `make_page` and `read_cursor`. A cursor holds the key of the last row of a page, and a checksum
of the list and its filters: with other filters it would silently skip rows, so it is rejected.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Query, Request

from controller.api.http.documented_route import ResponseModel
from controller.errors import UsageError

Item = TypeVar("Item")
Key = TypeVar("Key")
Limit = Annotated[int, Query(ge=1, le=500)]
Cursor = Annotated[str | None, Query(max_length=120)]
_PAGING = ("cursor", "limit")
_CURSOR = re.compile(r"(.{1,100})\.([0-9a-f]{12})")


class Page(ResponseModel, Generic[Item]):
    """One page of a list. `next` is the `cursor` of the next page, null on the last page."""

    items: list[Item]
    next: str | None


def make_page(request: Request, items: Sequence[Any], limit: int, key: Callable[[Any], str]) -> dict[str, Any]:
    """Return a page of at most `limit` items. If more items than that are passed, the page has a `next`."""
    visible = items[:limit]
    return {"items": visible, "next": next_cursor(request, key(visible[-1]) if len(items) > limit else None)}


def next_cursor(request: Request, key: str | None) -> str | None:
    """Return the cursor of the page after the row with this key; None if there is no such page."""
    return None if key is None else f"{key}.{_checksum(request)}"


def read_cursor(request: Request, cursor: str | None, parse: Callable[[str], Key]) -> Key | None:
    """Return the key of the last row of the previous page; None without a cursor.

    `parse` converts the text of the key, or raises ValueError. Raises UsageError for a cursor of another list.
    """
    if cursor is None:
        return None
    match = _CURSOR.fullmatch(cursor)
    if match is not None and match[2] == _checksum(request):
        try:
            return parse(match[1])
        except ValueError:
            pass
    raise UsageError(
        "The cursor does not belong to this list.",
        hint="Pass the `next` of the previous page, with the same filters.",
    )


def text_parser(pattern: str) -> Callable[[str], str]:
    """Return a parser of keys that match a regular expression."""

    def parse(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise ValueError(text)
        return text

    return parse


def parse_number(text: str) -> int:
    """Parse a key that is a row number. Raises ValueError."""
    if re.fullmatch(r"[0-9]{1,18}", text) is None:
        raise ValueError(text)
    return int(text)


def _checksum(request: Request) -> str:
    filters = sorted((name, value) for name, value in request.query_params.multi_items() if name not in _PAGING)
    text = repr((request.url.path, filters)).encode("utf-8", "backslashreplace")
    return hashlib.sha256(text).hexdigest()[:12]
