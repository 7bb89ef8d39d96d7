"""Reads the values of YAML documents without their positions, which takes half the time. `loader` calls it.

Most files have no findings, and only findings need positions. A file with anything unusual, such as an anchor, a tag, a
duplicate key or any other fault, is left to `builder`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import yaml

from controller.manifests.yaml.builder import MAX_DEPTH, MAX_NODES, QUOTED, UNQUOTED, new, resolve
from controller.manifests.yaml.nodes import Node, Path, Position

MAX_BYTES = MAX_NODES // 2
"""Limit for the size of a file that is read here. It cannot exceed any limit of `builder` except that of the depth."""
NOWHERE = Position(0, 0)
"""The position of all nodes that are read here. No line has the number 0."""
_NONE: Mapping[str, Any] = {}
_STARTS = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_ENDS = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


class UnusualError(Exception):
    """Only `builder` can read this file."""


class _Lazy:
    """An attribute of a node that is computed when it is first read, and then stays the same object."""

    def __init__(self, make: Callable[["ValueNode"], Any]) -> None:
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, node: "ValueNode", owner: type | None = None) -> Any:
        value = node.__dict__[self._name] = self._make(node)
        return value


def _children(node: "ValueNode") -> Mapping[str, Node]:
    value = node.value
    return {name: value_node(each) for name, each in value.items()} if value.__class__ is dict else _NONE


def _key_places(node: "ValueNode") -> Mapping[str, Position]:
    return dict.fromkeys(node.value, NOWHERE) if node.value.__class__ is dict else _NONE


def _items(node: "ValueNode") -> tuple[Node, ...]:
    return tuple(map(value_node, node.value)) if node.value.__class__ is list else ()


class ValueNode(Node):
    """A list or mapping without positions. It makes the nodes inside of it when they are needed."""

    fields = _Lazy(_children)
    keys = _Lazy(_key_places)
    items = _Lazy(_items)

    def at(self, path: Path) -> Node:
        """Return the node at `path`, or its nearest ancestor that exists."""
        node: Node = self
        for step in path:
            child = node.child(step)
            if child is None:
                break
            node = child
        return node

    def child(self, step: str | int) -> Node | None:
        """Return the value of a key, or the item at an index; None if it does not exist."""
        value = self.value
        if isinstance(step, str):
            return value_node(value[step]) if value.__class__ is dict and step in value else None
        return value_node(value[step]) if value.__class__ is list and step < len(value) else None

    def _replace(self, **changes: Any) -> Node:  # type: ignore[override]
        node = Node(self.value, self.place, self.text, self.fields, self.keys, self.items, self.removed)
        return node._replace(**changes)


def value_node(value: Any) -> Node:
    """Return a node without positions for a JSON value."""
    kind = ValueNode if value.__class__ is dict or value.__class__ is list else Node
    return new(kind, (value, NOWHERE, "", _NONE, _NONE, (), _NONE))


def read_values(next_event: Callable[[], Any]) -> list[Any]:
    """Return the values of all documents. Raises UnusualError, and yaml.YAMLError like `next_event`."""
    values: list[Any] = []
    above: list[list[Any]] = []
    scalar, end = yaml.ScalarEvent, yaml.StreamEndEvent
    while (kind := type(event := next_event())) is not end:
        if kind is scalar:
            known = (UNQUOTED if event.implicit[0] else QUOTED).get(event.value)
            if known is None or event.tag is not None or event.anchor is not None:
                known = _resolve(event)
            values.append(known[0])
        elif kind in _STARTS:
            _check_start(event, len(above))
            above.append(values)
            values = []
        elif kind in _ENDS:
            value = values if kind is yaml.SequenceEndEvent else _mapping(values)
            values = above.pop()
            values.append(value)
        elif kind is yaml.AliasEvent:
            raise UnusualError
    return values


def _resolve(event: yaml.ScalarEvent) -> tuple[Any, str, int]:
    known = resolve(event.value, plain=event.implicit[0])
    if known is None or event.tag is not None or event.anchor is not None:
        raise UnusualError
    return known


def _check_start(event: yaml.CollectionStartEvent, depth: int) -> None:
    if depth >= MAX_DEPTH or event.tag is not None or event.anchor is not None:
        raise UnusualError


def _mapping(values: list[Any]) -> dict[str, Any]:
    """Return the mapping of these keys and values, which alternate."""
    names: Iterable[Any] = values[::2]
    if not all(name.__class__ is str for name in names):
        raise UnusualError
    mapping = dict(zip(names, values[1::2], strict=True))
    if 2 * len(mapping) != len(values) or "<<" in mapping:
        raise UnusualError
    return mapping
