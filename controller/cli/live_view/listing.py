"""A list of the live view: the rows that are visible, which of them is selected, and how to load others."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rich.text import Text

from controller.cli.live_view.cells import Column
from controller.client import Client

Item = Mapping[str, Any]
MAX_ITEMS = 500
"""The largest page of the API."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The loaded part of a list: its items from `offset` on. `total` is None if the end of the list is not known."""

    offset: int
    items: Sequence[Item]
    total: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The subject of a row: a deployment, a run, a commit or withheld deletions. Actions apply to it."""

    deployment: str | None = None
    run_id: str | None = None
    sha: str | None = None
    is_withheld: bool = False
    text: str | None = None
    """The reason or message in the row."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to open."""
        return self == Target(text=self.text)


class Listing(ABC):
    """A list whose items are loaded on demand. The selected item stays selected when the list changes."""

    title: str
    columns: Sequence[Column]
    orders: Sequence[str] = ()
    filter_hint = "part of a name"
    empty = "Nothing here."

    def __init__(self) -> None:
        self.part = Part(offset=0, items=(), total=None)
        self.is_loaded = False
        self.top = self.selected = 0
        self.filter = ""
        self.order = self.orders[0] if self.orders else ""

    @abstractmethod
    def fetch(self, client: Client, offset: int, count: int) -> Part:
        """Load `count` items from `offset` on. Called in another thread: it must not change the list."""

    @abstractmethod
    def cells(self, item: Item, now: datetime) -> Sequence[Text]:
        """Return one cell per column."""

    def line(self, item: Item, now: datetime) -> Text | None:  # noqa: ARG002
        """Return the whole row of an item that has no columns; None if `cells` returns its row."""
        return None

    @abstractmethod
    def target(self, item: Item) -> Target:
        """Return what the row is about."""

    @property
    def end(self) -> int:
        """The number of items, as far as it is known."""
        known = self.part.offset + len(self.part.items)
        return known if self.part.total is None else self.part.total

    def item(self, index: int) -> Item | None:
        """Return the item at this index, or None if it is not loaded."""
        position = index - self.part.offset
        return self.part.items[position] if 0 <= position < len(self.part.items) else None

    def update(self, part: Part) -> None:
        """Replace the loaded part. If the selected item has moved, the selection follows it."""
        before = self.item(self.selected)
        self.part, self.is_loaded = part, True
        if before is not None and self.selected > 0:
            self._follow(self.key(before))
        self.selected = max(0, min(self.selected, self.end - 1))

    def key(self, item: Item) -> Any:
        """Return what identifies an item."""
        target = self.target(item)
        return (target.run_id, target.deployment, target.sha, target.text if target.is_empty else None)

    def move(self, distance: int) -> None:
        """Move the selection."""
        last = self.end if self.part.total is None else self.end - 1
        self.selected = max(0, min(self.selected + distance, max(0, last)))

    def scroll(self, height: int) -> bool:
        """Make the selected row visible in `height` rows. Return whether rows must be loaded for that."""
        self.top = max(min(self.top, self.selected), self.selected - height + 1)
        if self.part.total is not None:
            self.top = min(self.top, self.part.total - height)
        self.top = max(0, self.top)
        wanted = min(self.top + height, self.end) if self.part.total is not None else self.top + height
        is_there = self.part.offset <= self.top and wanted <= self.part.offset + len(self.part.items)
        return not is_there

    def restrict(self, text: str) -> None:
        """Filter the list."""
        self.filter = text.strip()
        self.reset()

    def next_order(self) -> None:
        """Sort the list in another order."""
        self.order = self.orders[(self.orders.index(self.order) + 1) % len(self.orders)]
        self.reset()

    def reset(self) -> None:
        """Go to the beginning and discard what is loaded."""
        self.part, self.is_loaded = Part(offset=0, items=(), total=None), False
        self.top = self.selected = 0

    def _follow(self, key: Any) -> None:
        current = self.item(self.selected)
        if current is not None and self.key(current) == key:
            return
        for position, item in enumerate(self.part.items):
            if self.key(item) == key:
                self.top = max(0, self.top + self.part.offset + position - self.selected)
                self.selected = self.part.offset + position
                return


@dataclass(slots=True)
class Cursors:
    """Finds parts of a list that the API returns page by page: where in the list each known cursor begins."""

    starts: dict[int, str] = field(default_factory=dict)

    def fetch(self, client: Client, path: str, offset: int, count: int, **filters: Any) -> Part:
        """Load the part from the nearest known cursor on; page by page, if it is far away."""
        begin = max((start for start in self.starts if start <= offset), default=0)
        items: list[Item] = []
        while True:
            limit = max(1, min(MAX_ITEMS, offset + count - begin - len(items)))
            page = client.page(path, limit=limit, cursor=self.starts.get(begin + len(items)), **filters)
            items += page["items"]
            end = begin + len(items)
            if page["next"] is None:
                return Part(offset=begin, items=items, total=end)
            self.starts[end] = page["next"]
            if end >= offset + count:
                return Part(offset=begin, items=items, total=None)
