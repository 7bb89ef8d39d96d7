"""Builds a tree of nodes from the parser events of one YAML document, within fixed limits.

`loader` feeds it. The builder must not recurse, and raises nothing but `LimitError`: it reports every other fault as a
`Problem` and continues, so that one pass finds all faults. The limits are listed in docs/format.md. An alias counts in
full, as if the value it refers to were written out, so nested anchors and merge keys ("billion laughs") cannot exceed
them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import yaml

from controller.manifests.yaml.nodes import Node, Path, Position, Problem, kind_of
from controller.manifests.yaml.scalars import BadNumber, plain_scalar, untagged_hint
from controller.model.shared_values import share
from controller.text import shorten

MAX_DEPTH = 32
MAX_NODES = 20_000
MAX_SCALAR_BYTES = 64 * 1024
MAX_TEXT_BYTES = 1024 * 1024
"""Limit for all scalars of a file together, with aliases expanded; equal to the limit for the file itself."""


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
        "nodes",
        "place",
        "text",
    )

    def __init__(self, *, place: Position, anchor: str | None, mapping: bool, faults: int) -> None:
        self.place, self.anchor, self.mapping = place, anchor, mapping
        self.fields: dict[str, Node] = {}
        self.keys: dict[str, Position] = {}
        self.items: list[Node] = []
        self.merged: list[Node] = []
        self.key: Key | None = None
        self.nodes, self.text, self.height = 1, 0, 2  # an empty collection counts as one level above a scalar
        self.faults = faults

    def step(self) -> str | int | None:
        """Return the key or index of the next value; None between two entries of a mapping."""
        if not self.mapping:
            return len(self.items)
        return self.key.name if self.key else None

    def close(self) -> Node:
        """Return the finished node. Its own keys win over merged ones, and earlier merges over later ones."""
        if not self.mapping:
            values = [item.value for item in self.items]
            return Node(values, self.place, items=tuple(self.items))
        for source in self.merged:
            for name, node in source.fields.items():
                if name not in self.fields:
                    self.fields[name] = node
                    self.keys[name] = source.keys[name]
        value = {name: node.value for name, node in self.fields.items()}
        return Node(value, self.place, fields=self.fields, keys=self.keys)


class Key(NamedTuple):
    """A mapping key whose value has not arrived yet. With `drop`, the key is invalid and its value is discarded."""

    name: str
    place: Position
    merge: bool = False
    drop: bool = False


class TreeBuilder:
    """Builds one document. `root` is None until the last event arrives; `problems` collects the faults found so far."""

    def __init__(self, *, nodes_before: int = 0, text_before: int = 0) -> None:
        self.root: Node | None = None
        self.problems: list[Problem] = []
        self.nodes, self.text = nodes_before, text_before
        self._frames: list[Frame] = []
        self._anchors: dict[str, tuple[Node, Weight, bool] | Frame] = {}

    def feed(self, event: yaml.Event) -> None:
        """Handle the next event of the document. Raises LimitError."""
        handle = _HANDLERS.get(type(event))
        if handle is not None:
            handle(self, event)

    def open_name(self) -> str | None:
        """Return the document's `name`, for a document that the parser could not finish; None if it was not read."""
        if not self._frames or any(problem.path == ("name",) for problem in self.problems):
            return None
        name = self._frames[0].fields.get("name")
        return name.value if name is not None and isinstance(name.value, str) else None

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        place, faults = place_of(event), len(self.problems)
        # Documents share most of their keys and values; sharing keeps one copy of each in memory.
        text = share(event.value)
        if event.tag is not None:
            self._refuse_tag(event.tag, place, text)
        ascii_only = text.isascii()
        size = len(text) if ascii_only else len(text.encode(errors="surrogatepass"))
        if size > MAX_SCALAR_BYTES:
            raise self._over("ScalarTooLong", f"the value has {size} bytes; the limit is {MAX_SCALAR_BYTES}", place)
        plain = event.implicit[0]
        value: Any = plain_scalar(text) if plain else text
        if value.__class__ is BadNumber:
            self._problem(value.code, value.message, place, hint=value.hint)
            value = 0
        if not plain and not ascii_only and has_surrogate(text):
            self._problem("InvalidCharacter", "half of a surrogate pair is not a character", place)
            value = ""
        node = Node(value, place, text)
        if event.anchor:
            self._anchors[event.anchor] = (node, Weight(1, size, 1), len(self.problems) > faults)
        self._count(1, size, place)
        self._add_node(node, 1, size, 1, merge_key=plain and text == "<<")

    def _alias(self, event: yaml.AliasEvent) -> None:
        place, name = place_of(event), event.anchor or ""
        anchor = self._anchors.get(name)
        if isinstance(anchor, tuple):
            node, weight, broken = anchor
            if broken:
                self._problem("BrokenAlias", f"alias *{shorten(name)} refers to a value that has an error", place)
            self._check_depth(weight.height - 1, place)
            self._count(weight.nodes, weight.text, place)
            self._add_node(node._replace(place=place), *weight)
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
        self._add_node(Node(None, place), 1, 0, 1)

    def _open(self, event: yaml.CollectionStartEvent) -> None:
        place, faults = place_of(event), len(self.problems)
        if event.tag is not None:
            self._refuse_tag(event.tag, place)
        self._check_depth(1, place)
        mapping = isinstance(event, yaml.MappingStartEvent)
        frame = Frame(place=place, anchor=event.anchor, mapping=mapping, faults=faults)
        if event.anchor:
            self._anchors[event.anchor] = frame
        self._frames.append(frame)
        self._count(1, 0, place)

    def _close(self, _: yaml.Event) -> None:
        frame = self._frames.pop()
        node = frame.close()
        if frame.anchor and self._anchors.get(frame.anchor) is frame:
            weight = Weight(frame.nodes, frame.text, frame.height)
            self._anchors[frame.anchor] = (node, weight, len(self.problems) > frame.faults)
        self._add_node(node, frame.nodes, frame.text, frame.height)

    def _add_node(self, node: Node, nodes: int, text: int, height: int, *, merge_key: bool = False) -> None:
        """Add a finished node to the innermost open collection, as an item, a key or a value."""
        if not self._frames:
            self.root = node
            return
        frame = self._frames[-1]
        frame.nodes += nodes
        frame.text += text
        if height >= frame.height:
            frame.height = height + 1
        if not frame.mapping:
            frame.items.append(node)
        elif frame.key is None:
            frame.key = self._key(frame, node, merge_key)
        else:
            self._field(frame, frame.key, node)
            frame.key = None

    def _key(self, frame: Frame, node: Node, merge_key: bool) -> Key:
        name, place = node.value, node.place
        if not isinstance(name, str):
            label = shorten(node.text) or "this one"
            self._problem(
                "KeyNotString",
                f"a key must be a string, and {label} is {kind_of(node.value)}",
                place,
                hint=f'write it in quotes: "{label}"' if node.text else None,
            )
            return Key(node.text, place, drop=True)
        if name in frame.keys:
            first = frame.keys[name]
            self._problem(
                "DuplicateKey",
                f"duplicate key `{shorten(name)}` (first defined on line {first.line})",
                place,
                step=name,
                hint="remove one of them",
            )
            return Key(name, place, drop=True)
        frame.keys[name] = place
        return Key(name, place, merge=merge_key)

    def _field(self, frame: Frame, key: Key, node: Node) -> None:
        if key.merge:
            sources = node.items or (node,)
            if all(isinstance(source.value, dict) for source in sources):
                frame.merged.extend(sources)
            else:
                self._problem("InvalidMerge", "<< requires a mapping or a list of mappings", node.place)
        elif not key.drop:
            frame.fields[key.name] = node

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

    def _problem(
        self, code: str, message: str, place: Position, *, hint: str | None = None, step: str | None = None
    ) -> None:
        path = self._path() if step is None else (*self._path(), step)
        self.problems.append(Problem(code=code, message=message, place=place, path=path, hint=hint))


_HANDLERS: dict[type[yaml.Event], Callable[[TreeBuilder, Any], None]] = {
    yaml.ScalarEvent: TreeBuilder._scalar,
    yaml.AliasEvent: TreeBuilder._alias,
    yaml.SequenceStartEvent: TreeBuilder._open,
    yaml.MappingStartEvent: TreeBuilder._open,
    yaml.SequenceEndEvent: TreeBuilder._close,
    yaml.MappingEndEvent: TreeBuilder._close,
}


def place_of(event: yaml.Event) -> Position:
    """Return the position where an event begins."""
    mark = event.start_mark
    return Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)


def has_surrogate(text: str) -> bool:
    """Return whether `text` has an unpaired surrogate. PyYAML's pure-Python parser accepts such escapes."""
    return any("\ud800" <= c <= "\udfff" for c in text)
