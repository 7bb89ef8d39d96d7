"""Nodes of values that were read without positions. They behave like other nodes, whose positions are all `NOWHERE`.

`loader` creates the nodes of documents, and `merge` and `short_forms` take shorter ways with them.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from controller.manifests.yaml.nodes import Node, Path, Position, new

NOWHERE = Position(0, 0)
"""The position of a value that was read without one. No line has the number 0."""
_NONE: Mapping[str, Any] = {}


def _children(node: "ValueNode") -> Mapping[str, Node]:
    value = node.value
    return {name: value_node(each) for name, each in value.items()} if value.__class__ is dict else _NONE


def _key_places(node: "ValueNode") -> Mapping[str, Position]:
    return dict.fromkeys(node.value, NOWHERE) if node.value.__class__ is dict else _NONE


def _items(node: "ValueNode") -> tuple[Node, ...]:
    return tuple(map(value_node, node.value)) if node.value.__class__ is list else ()


class ValueNode(Node):
    """A list or mapping without positions. It makes the nodes inside of it when they are needed."""

    fields = cached_property(_children)
    keys = cached_property(_key_places)
    items = cached_property(_items)

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
