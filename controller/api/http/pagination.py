"""Long lists in pages: what a page holds, and the cursor from which the next one goes on.

The routes of lists call `page` and `begin`. A cursor names the last row that was shown, and bears a mark of the list
and the questions that it belongs to: elsewhere it would leave out rows, and nobody would see that.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Query, Request
from pydantic import BaseModel

from controller.errors import UsageError

Item = TypeVar("Item")
Key = TypeVar("Key")
Limit = Annotated[int, Query(ge=1, le=500)]
Cursor = Annotated[str | None, Query(max_length=120)]
_PLACES = ("cursor", "limit")
_CURSOR = re.compile(r"(.{1,100})\.([0-9a-f]{12})")


class Page(BaseModel, Generic[Item]):
    """Some of a long list; `next` is the `cursor` of the page after it, null at the end."""

    items: list[Item]
    next: str | None


def page(request: Request, items: Sequence[Any], limit: int, key: Callable[[Any], str]) -> dict[str, Any]:
    """Up to `limit` items of those that were found, and where the next page begins if there are more."""
    shown = items[:limit]
    return {"items": shown, "next": following(request, key(shown[-1]) if len(items) > limit else None)}


def following(request: Request, key: str | None) -> str | None:
    """The cursor of the page that goes on from this key; None at the end."""
    return None if key is None else f"{key}.{_mark(request)}"


def begin(request: Request, cursor: str | None, parse: Callable[[str], Key]) -> Key | None:
    """The key of the last row that is known, None at the beginning. Raises UsageError for a cursor of another list.

    `parse` makes the key of its text, or raises ValueError.
    """
    if cursor is None:
        return None
    found = _CURSOR.fullmatch(cursor)
    if found is not None and found[2] == _mark(request):
        try:
            return parse(found[1])
        except ValueError:
            pass
    raise UsageError(
        "This cursor is not one of this list.", hint="Give the `next` of the page before, and ask the same questions."
    )


def text_like(pattern: str) -> Callable[[str], str]:
    """A parser of keys that are text of this form."""

    def parse(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise ValueError(text)
        return text

    return parse


def number(text: str) -> int:
    """A parser of keys that are numbers of rows."""
    if re.fullmatch(r"[0-9]{1,18}", text) is None:
        raise ValueError(text)
    return int(text)


def _mark(request: Request) -> str:
    asked = sorted((name, value) for name, value in request.query_params.multi_items() if name not in _PLACES)
    told = repr((request.url.path, asked)).encode("utf-8", "backslashreplace")
    return hashlib.sha256(told).hexdigest()[:12]
