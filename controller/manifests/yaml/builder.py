"""Builds a tree of nodes from the parser events of one YAML document, within fixed limits.

`loader` feeds it. The builder must not recurse, and raises nothing but `LimitError`: it reports every other fault as a
`Problem` and continues, so that one pass finds all faults. The limits are listed in docs/format.md. An alias counts in
full, as if the value it refers to were written out, so nested anchors and merge keys ("billion laughs") cannot exceed
them.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import yaml

from controller.manifests.yaml.nodes import Node, Path, Position, Problem, kind_of, new
from controller.manifests.yaml.scalars import BadNumber, plain_scalar, untagged_hint
from controller.text import shorten

MAX_DEPTH = 32
MAX_NODES = 20_000
MAX_SCALAR_BYTES = 64 * 1024
MAX_TEXT_BYTES = 1024 * 1024
"""Limit for all scalars of a file together, with aliases expanded; equal to the limit for the file itself."""


_MAX_REMEMBERED, _MAX_REMEMBERED_BYTES = 4096, 1024
Resolved = tuple[Any, str, int]
"""The value of a scalar, its text, and its size in bytes."""
UNQUOTED: dict[str, Resolved] = {}
QUOTED: dict[str, Resolved] = {}
"""Unquoted and other scalars by text, without those that have problems. Documents share most of their keys and values,
so that this saves most of the time to resolve them, and keeps one copy of each in memory."""
_NONE: Mapping[str, Any] = {}
_FIELD, _MERGE, _DROP = range(3)
"""How the value of a mapping key is used. It is dropped if the key is invalid."""


def resolve(text: str, *, plain: bool) -> Resolved | None:
    """Return the value of a scalar, or None if it has a problem. Remember it if it is short."""
    size = size_of(text)
    if size > MAX_SCALAR_BYTES:
        return None
    value: Any = plain_scalar(text) if plain else text
    if value.__class__ is BadNumber or (not plain and size > len(text) and has_surrogate(text)):
        return None
    resolved = (value, text, size)
    if size <= _MAX_REMEMBERED_BYTES:
        known = UNQUOTED if plain else QUOTED
        if len(known) >= _MAX_REMEMBERED:
            known.clear()
        known[text] = resolved
    return resolved


def size_of(text: str) -> int:
    """Return the size of a text in bytes."""
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


class LimitError(Exception):
    """The file exceeds a limit. `problem` says which one and where; the rest of the file was not read."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class Weight(NamedTuple):
    """The size of a node with aliases expanded: its nodes, bytes of scalars, and levels of nesting (a scalar has 1)."""

    nodes: int
    text: int
    height: int


class Frame:
    """A list or mapping whose end event has not arrived yet."""

    __slots__ = (
        "anchor",
        "faults",
        "fields",
        "height",
        "items",
        "key",
        "keys",
        "mapping",
        "merged",
        "nodes_before",
        "place",
        "text_before",
        "use",
    )

    def __init__(
        self, place: Position, anchor: str | None, mapping: bool, faults: int, nodes_before: int, text_before: int
    ) -> None:
        self.place, self.anchor, self.mapping = place, anchor, mapping
        if mapping:
            self.fields: dict[str, Node] = {}
            self.keys: dict[str, Position] = {}
            self.merged: list[Node] = []
        else:
            self.items: list[Node] = []
        self.key: str | None = None
        self.use = _FIELD
        self.nodes_before, self.text_before = nodes_before, text_before
        self.height = 2  # an empty collection counts as one level above a scalar
        self.faults = faults

    def step(self) -> str | int | None:
        """Return the key or index of the next value; None between two entries of a mapping."""
        if not self.mapping:
            return len(self.items)
        return self.key

    def close(self) -> Node:
        """Return the finished node. Its own keys win over merged ones, and earlier merges over later ones."""
        if not self.mapping:
            values = [item.value for item in self.items]
            return new(Node, (values, self.place, "", _NONE, _NONE, tuple(self.items), _NONE))
        for source in self.merged:
            for name, node in source.fields.items():
                if name not in self.fields:
                    self.fields[name] = node
                    self.keys[name] = source.keys[name]
        value = {name: node.value for name, node in self.fields.items()}
        return new(Node, (value, self.place, "", self.fields, self.keys, (), _NONE))


class TreeBuilder:
    """Builds one document. `root` is None until the last event arrives; `problems` collects the faults found so far."""

    def __init__(self, *, nodes_before: int = 0, text_before: int = 0) -> None:
        self.root: Node | None = None
        self.problems: list[Problem] = []
        self.nodes, self.text = nodes_before, text_before
        self._frames: list[Frame] = []
        self._anchors: dict[str, tuple[Node, Weight, bool] | Frame] = {}

    def open_name(self) -> str | None:
        """Return the document's `name`, for a document that the parser could not finish; None if it was not read."""
        if (
            not self._frames
            or not self._frames[0].mapping
            or any(problem.path == ("name",) for problem in self.problems)
        ):
            return None
        name = self._frames[0].fields.get("name")
        return name.value if name is not None and isinstance(name.value, str) else None

    def add_scalar(self, event: Any) -> None:
        """Add a scalar. Most are short, and equal to one that was read before: this is the hottest path of a parse."""
        mark: Any = event.start_mark
        text, anchor, plain = event.value, event.anchor, event.implicit[0]
        place = new(Position, (mark.line + 1, mark.column + 1, "", ()))
        faults = len(self.problems)
        known = UNQUOTED.get(text) if plain else QUOTED.get(text)
        if known is None or event.tag is not None:
            known = self._resolve(event, text, place, plain=plain)
        value, text, size = known
        self.nodes += 1
        self.text += size
        if self.nodes > MAX_NODES or self.text > MAX_TEXT_BYTES:
            self._count(0, 0, place)
        frame = self._frames[-1] if self._frames else None
        if frame is None or not frame.mapping or anchor:
            node = new(Node, (value, place, text, _NONE, _NONE, (), _NONE))
            if anchor:
                self._anchors[anchor] = (node, Weight(1, size, 1), len(self.problems) > faults)
            self._add_node(node, is_merge=plain and text == "<<")
        elif frame.key is not None and frame.use == _FIELD:
            frame.fields[frame.key] = new(Node, (value, place, text, _NONE, _NONE, (), _NONE))
            frame.key = None
        elif frame.key is None and value.__class__ is str and value not in frame.keys:
            frame.keys[value] = place
            frame.key, frame.use = value, _MERGE if plain and text == "<<" else _FIELD
        else:
            self._add_node(new(Node, (value, place, text, _NONE, _NONE, (), _NONE)), is_merge=plain and text == "<<")

    def _resolve(self, event: yaml.ScalarEvent, text: str, place: Position, *, plain: bool) -> Resolved:
        """Return the value of a scalar, or a value in its place after adding a problem."""
        if event.tag is not None:
            self._refuse_tag(event.tag, place, text)
        resolved = resolve(text, plain=plain)
        if resolved is not None:
            return resolved
        size = size_of(text)
        if size > MAX_SCALAR_BYTES:
            raise self._over("ScalarTooLong", f"the value has {size} bytes; the limit is {MAX_SCALAR_BYTES}", place)
        value = plain_scalar(text) if plain else text
        if isinstance(value, BadNumber):
            self._problem(value.code, value.message, place, hint=value.hint)
            return 0, text, size
        self._problem("InvalidCharacter", "half of a surrogate pair is not a character", place)
        return "", text, size

    def _alias(self, event: yaml.AliasEvent) -> None:
        place, name = place_of(event), event.anchor or ""
        anchor = self._anchors.get(name)
        if isinstance(anchor, tuple):
            node, weight, broken = anchor
            if broken:
                self._problem("BrokenAlias", f"alias *{shorten(name)} refers to a value that has an error", place)
            self._check_depth(weight.height - 1, place)
            self._count(weight.nodes, weight.text, place)
            self._add_node(node._replace(place=place), weight.height)
            return
        if anchor is None:
            self._problem(
                "UnknownAlias",
                f"unknown alias *{shorten(name)}: no anchor &{shorten(name)} is defined before it",
                place,
                hint=f'if it is a string, write it in quotes: "*{shorten(name)}"',
            )
        else:
            self._problem("RecursiveAlias", f"alias *{shorten(name)} refers to itself", place)
        self._count(1, 0, place)
        self._add_node(Node(None, place))

    def _open(self, event: yaml.CollectionStartEvent) -> None:
        mapping = event.__class__ is yaml.MappingStartEvent
        place, faults = place_of(event), len(self.problems)
        if event.tag is not None:
            self._refuse_tag(event.tag, place)
        if len(self._frames) >= MAX_DEPTH:
            self._check_depth(1, place)
        anchor = event.anchor
        frame = Frame(place, anchor, mapping, faults, self.nodes, self.text)
        if anchor:
            self._anchors[anchor] = frame
        self._frames.append(frame)
        self.nodes += 1
        if self.nodes > MAX_NODES:
            self._count(0, 0, place)

    def _close(self, _: yaml.Event) -> None:
        frame = self._frames.pop()
        node = frame.close()
        if frame.anchor and self._anchors.get(frame.anchor) is frame:
            weight = Weight(self.nodes - frame.nodes_before, self.text - frame.text_before, frame.height)
            self._anchors[frame.anchor] = (node, weight, len(self.problems) > frame.faults)
        self._add_node(node, frame.height)

    def _add_node(self, node: Node, height: int = 1, *, is_merge: bool = False) -> None:
        """Add a finished node to the innermost open collection, as an item, a key or a value."""
        if not self._frames:
            self.root = node
            return
        frame = self._frames[-1]
        if height >= frame.height:
            frame.height = height + 1
        if not frame.mapping:
            frame.items.append(node)
        elif frame.key is None:
            self._key(frame, node, is_merge)
        else:
            if frame.use == _FIELD:
                frame.fields[frame.key] = node
            elif frame.use == _MERGE:
                self._merge(frame, node)
            frame.key = None

    def _key(self, frame: Frame, node: Node, is_merge: bool) -> None:
        name = node.value
        if name.__class__ is str and name not in frame.keys:
            frame.keys[name] = node.place
            frame.key, frame.use = name, _MERGE if is_merge else _FIELD
            return
        if isinstance(name, str):
            frame.key = name
            self._problem(
                "DuplicateKey",
                f"duplicate key `{shorten(name)}` (first defined on line {frame.keys[name].line})",
                node.place,
                hint="remove one of them",
            )
        else:
            label = shorten(node.text) or "this one"
            self._problem(
                "KeyNotString",
                f"a key must be a string, and {label} is {kind_of(node.value)}",
                node.place,
                hint=f'write it in quotes: "{label}"' if node.text else None,
            )
            frame.key = node.text
        frame.use = _DROP

    def _merge(self, frame: Frame, node: Node) -> None:
        sources = node.items or (node,)
        if all(isinstance(source.value, dict) for source in sources):
            frame.merged.extend(sources)
        else:
            self._problem("InvalidMerge", "<< requires a mapping or a list of mappings", node.place)

    def _refuse_tag(self, tag: str, place: Position, text: str | None = None) -> None:
        name = shorten(tag.replace("tag:yaml.org,2002:", "!!"))
        hint = "remove the tag" if text is None else untagged_hint(name, text)
        self._problem("TagNotAllowed", f"tag {name} is not allowed", place, hint=hint)

    def _check_depth(self, more: int, place: Position) -> None:
        if len(self._frames) + more > MAX_DEPTH:
            raise self._over("TooDeep", f"nested deeper than {MAX_DEPTH} levels", place)

    def _count(self, nodes: int, text: int, place: Position) -> None:
        self.nodes += nodes
        self.text += text
        if self.nodes > MAX_NODES:
            raise self._over("TooManyNodes", f"more than {MAX_NODES} values, with aliases expanded", place)
        if self.text > MAX_TEXT_BYTES:
            raise self._over("TooMuchText", f"more than {MAX_TEXT_BYTES} bytes of values, with aliases expanded", place)

    def _over(self, code: str, message: str, place: Position) -> LimitError:
        return LimitError(Problem(code=code, message=message, place=place))

    def _path(self) -> Path:
        steps = (frame.step() for frame in self._frames)
        return tuple(step for step in steps if step is not None)

    def _problem(self, code: str, message: str, place: Position, *, hint: str | None = None) -> None:
        self.problems.append(Problem(code=code, message=message, place=place, path=self._path(), hint=hint))


HANDLERS: dict[type[yaml.Event], Callable[[TreeBuilder, Any], None]] = {
    yaml.AliasEvent: TreeBuilder._alias,
    yaml.SequenceStartEvent: TreeBuilder._open,
    yaml.MappingStartEvent: TreeBuilder._open,
    yaml.SequenceEndEvent: TreeBuilder._close,
    yaml.MappingEndEvent: TreeBuilder._close,
}


def place_of(event: yaml.Event) -> Position:
    """Return the position where an event begins."""
    mark: Any = event.start_mark
    return new(Position, (mark.line + 1, mark.column + 1, "", ()))


def has_surrogate(text: str) -> bool:
    """Return whether `text` has an unpaired surrogate. PyYAML's pure-Python parser accepts such escapes."""
    return any("\ud800" <= c <= "\udfff" for c in text)
