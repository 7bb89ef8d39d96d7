"""What one YAML document says, with the place of every node, and what is wrong in it.

`builder` makes these values, `schema_validation`, `field_rules` and `build` read them. Nothing here parses, judges or
waits.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from controller.model.findings import Finding, Severity

Path = tuple[str | int, ...]


class Position(NamedTuple):
    """A line and a column, both from 1; in another `file` than the document, or `within` these keys of the file."""

    line: int
    column: int
    file: str = ""
    within: tuple[str, ...] = ()


class Node(NamedTuple):
    """A value and where it stands; a named tuple because a big repository has a million of them.

    `value` is plain JSON data. A mapping has `fields` and `keys` (the places of the keys), a sequence has `items`,
    a scalar has its `text` as written. `gone` are the places where keys were taken away from what is merged. Aliased
    nodes are shared: nobody may change `value`.
    """

    value: Any
    place: Position
    text: str = ""
    fields: Mapping[str, "Node"] = {}
    keys: Mapping[str, Position] = {}
    items: tuple["Node", ...] = ()
    gone: Mapping[str, Position] = {}

    def at(self, path: Path) -> "Node":
        """The node at `path`, or the nearest one above that exists."""
        node = self
        for step in path:
            child = node.child(step)
            if child is None:
                break
            node = child
        return node

    def find(self, path: Path) -> "Node | None":
        """The node at `path`, None if there is none."""
        node: Node | None = self
        for step in path:
            node = node and node.child(step)
        return node

    def child(self, step: str | int) -> "Node | None":
        """The value of a key, or an item; None where there is none."""
        if isinstance(step, str):
            return self.fields.get(step)
        return self.items[step] if step < len(self.items) else None

    def key_place(self, path: Path) -> Position:
        """Where the last key of `path` is written; the place of the node itself if that is an item."""
        parent, last = self.at(path[:-1]), path[-1]
        found = parent.keys.get(last) if isinstance(last, str) else None
        return found or self.at(path).place

    def lack_place(self, path: Path, *names: str) -> Position:
        """Where one of these keys was taken away from the mapping at `path`, else where that mapping begins."""
        node = self.at(path)
        return next((node.gone[name] for name in names if name in node.gone), node.place)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A finding that does not know its file and deployment yet."""

    code: str
    message: str
    place: Position
    path: Path = ()
    hint: str | None = None
    severity: Severity = Severity.ERROR

    @property
    def is_error(self) -> bool:
        """Whether it keeps its document from being applied."""
        return self.severity is Severity.ERROR

    def finding(self, file: str, deployment: str | None) -> Finding:
        """The same, as the rest of the program knows it, in `file` unless its place is in another one."""
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
    """One declared thing: a whole YAML document, or one item of a document that is a list."""

    root: Node
    problems: tuple[Problem, ...] = ()


def json_path(path: Path) -> str:
    """`("schedules", 0, "cron")` as `$.schedules[0].cron`; keys that are no identifiers in brackets and quotes."""
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


def shorten(text: str, limit: int = 40) -> str:
    """`text` for a message: on one line, printable, and at most `limit` characters long."""
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[: limit + 1])
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def kind_of(value: Any) -> str:
    """What people call the type of a JSON value."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "a mapping"
