"""The values that describe a YAML document: its nodes with their positions, and the problems found in it.

`builder` creates them; `schema_validation`, `field_rules` and `build` read them. Plain data, without parsing or
validation.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar, cast

from controller.model.findings import Finding, Severity
from controller.records import dataclass
from controller.text import shorten

Path = tuple[str | int, ...]
Tuple = TypeVar("Tuple")
new = cast("Callable[[type[Tuple], Any], Tuple]", tuple.__new__)
"""Creates a named tuple in half the time that its class takes."""


class Position(NamedTuple):
    """A line and a column, both from 1.

    `file` is set if the position is in another file than the document; `within` are the keys around it in that file.
    """

    line: int
    column: int
    file: str = ""
    within: tuple[str, ...] = ()


class Node(NamedTuple):
    """A value and its position. A named tuple, because a large repository has a million of them.

    `value` is plain JSON data. A mapping has `fields` and `keys` (the positions of its keys), a list has `items`, and a
    scalar has its `text` as written. `removed` has the positions of the nulls that removed keys during a merge. Aliased
    nodes are shared, so `value` must not be changed.
    """

    value: Any
    place: Position
    text: str = ""
    fields: Mapping[str, "Node"] = {}
    keys: Mapping[str, Position] = {}
    items: tuple["Node", ...] = ()
    removed: Mapping[str, Position] = {}

    def at(self, path: Path) -> "Node":
        """Return the node at `path`, or its nearest ancestor that exists."""
        node = self
        for step in path:
            child = node.fields.get(step) if step.__class__ is str else node.child(step)
            if child is None:
                break
            node = child
        return node

    def find(self, path: Path) -> "Node | None":
        """Return the node at `path`, or None if it does not exist."""
        node: Node | None = self
        for step in path:
            node = node and node.child(step)
        return node

    def child(self, step: str | int) -> "Node | None":
        """Return the value of a key, or the item at an index; None if it does not exist."""
        if isinstance(step, str):
            return self.fields.get(step)
        return self.items[step] if step < len(self.items) else None

    def key_place(self, path: Path) -> Position:
        """Return the position of the last key of `path`, or of the node itself if it is a list item."""
        parent, last = self.at(path[:-1]), path[-1]
        key = parent.keys.get(last) if isinstance(last, str) else None
        return key or self.at(path).place

    def removal_place(self, path: Path, *names: str) -> Position:
        """Return where one of these keys was removed from the mapping at `path`, or else where that mapping begins."""
        node = self.at(path)
        return next((node.removed[name] for name in names if name in node.removed), node.place)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A finding before its file and deployment are known."""

    code: str
    message: str
    place: Position
    path: Path = ()
    hint: str | None = None
    severity: Severity = Severity.ERROR

    @property
    def is_error(self) -> bool:
        """Whether the problem prevents its document from being applied."""
        return self.severity is Severity.ERROR

    def finding(self, file: str, deployment: str | None) -> Finding:
        """Return the problem as a `Finding` in `file`, or in the file of its position if that has one."""
        return Finding(
            code=self.code,
            message=self.message,
            file=self.place.file or file,
            line=self.place.line,
            column=self.place.column,
            severity=self.severity,
            hint=self.hint,
            path=json_path((*self.place.within, *self.path)),
            deployment=deployment,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One declaration: a whole YAML document, or one item if the document is a list."""

    root: Node
    problems: tuple[Problem, ...] = ()


def json_path(path: Path) -> str:
    """Return `$.schedules[0].cron` for `("schedules", 0, "cron")`; other keys than identifiers are `['quoted']`."""
    return "$" + "".join(_steps(path))


def _steps(path: Path) -> Iterator[str]:
    for step in path:
        if isinstance(step, int):
            yield f"[{step}]"
        elif step.isidentifier():
            yield f".{step}"
        else:
            quoted = shorten(step, 60).replace("\\", "\\\\").replace("'", "\\'")
            yield f"['{quoted}']"


def kind_of(value: Any) -> str:
    """Return the type of a JSON value as messages name it, such as "a number"."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "a list" if isinstance(value, list) else "a mapping"
