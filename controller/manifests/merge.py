"""Merges documents node by node according to RFC 7396, so that every merged value keeps its position.

`overlays` and `project_file` call it. It knows none of the format's keys, reports no problems, and modifies no node.
"""

from collections.abc import Collection, Mapping
from typing import Any

from controller.manifests.yaml.nodes import Node, Position
from controller.manifests.yaml.value_nodes import ValueNode, value_node


def relocate(node: Node, *, file: str = "", within: tuple[str, ...] = ()) -> Node:
    """Return the node with positions that are in another `file` than the document, or `within` some keys."""
    if isinstance(node, ValueNode):
        return node
    fields, keys, items = node.fields, node.keys, node.items
    if fields:
        fields = {name: relocate(field, file=file, within=within) for name, field in fields.items()}
        keys = {name: Position(place.line, place.column, file, within) for name, place in keys.items()}
    if items:
        items = tuple(relocate(item, file=file, within=within) for item in items)
    line, column, *_ = node.place
    return Node(node.value, Position(line, column, file, within), node.text, fields, keys, items, node.removed)


def overlay(base: Node, patch: Node) -> Node:
    """Apply `patch` to `base`: mappings are merged, everything else is replaced, and null removes a key."""
    if isinstance(base, ValueNode) and isinstance(patch, ValueNode):
        return value_node(_patch_value(base.value, patch.value))
    return _patch(base, patch)


def with_defaults(defaults: Node, document: Node) -> Node:
    """Merge `document` over `defaults`. A null removes a default; where there is no default, it remains a value."""
    if not isinstance(document.value, dict) or not isinstance(defaults.value, dict):
        return document
    fields, keys, removed = dict(document.fields), dict(document.keys), {**defaults.removed, **document.removed}
    for name, inherited in defaults.fields.items():
        field = fields.get(name)
        if field is None:
            fields[name], keys[name] = inherited, defaults.keys[name]
        elif field.value is None:
            removed[name] = keys[name]
            del fields[name], keys[name]
        else:
            fields[name] = with_defaults(inherited, field)
    return _mapping(fields, keys, document.place, removed)


def union(first: Node, second: Node) -> Node:
    """Return a mapping with the keys of both, at every level. Only its keys matter; values are those of either."""
    if not isinstance(first.value, dict) or not isinstance(second.value, dict):
        return first if isinstance(first.value, dict) else second
    fields, keys = {**second.fields, **first.fields}, {**second.keys, **first.keys}
    for name in first.fields.keys() & second.fields.keys():
        fields[name] = union(first.fields[name], second.fields[name])
    return _mapping(fields, keys, first.place, {})


def drop_null_keys(declared: Node, document: Node, *, values: Collection[str] = (), is_nested: bool = False) -> Node:
    """Return the document without the nulls that remove a key of `declared`, even if there is nothing to remove.

    Inside a mapping that `declared` has too, every null removes. Below the keys in `values`, however, a null for a key
    that `declared` does not have remains a value.
    """
    if not isinstance(document.value, dict) or not isinstance(declared.value, dict):
        return document
    fields, keys, removed = dict(document.fields), dict(document.keys), dict(document.removed)
    for name, field in document.fields.items():
        declaration = declared.fields.get(name)
        if field.value is None and (declaration is not None or is_nested):
            removed[name] = keys.pop(name)
            del fields[name]
        elif declaration is not None:
            fields[name] = drop_null_keys(declaration, field, is_nested=name not in values)
    return _mapping(fields, keys, document.place, removed) if fields != document.fields else document


def without_keys(node: Node, *names: str) -> Node:
    """Return a mapping without some of its keys."""
    value = node.value
    if not isinstance(value, dict) or not any(name in value for name in names):
        return node
    if isinstance(node, ValueNode):
        return value_node({key: each for key, each in value.items() if key not in names})
    fields = {name: field for name, field in node.fields.items() if name not in names}
    keys = {name: place for name, place in node.keys.items() if name not in names}
    return _mapping(fields, keys, node.place, node.removed)


def with_field(node: Node, path: tuple[str, ...], field: Node) -> Node:
    """Return a mapping with another value at `path`, below mappings that are created where they are missing.

    The position of a new key is that of the value.
    """
    name, below = path[0], path[1:]
    if below:
        field = with_field(node.fields.get(name) or Node({}, field.place), below, field)
    keys = {**node.keys, name: node.keys.get(name, field.place)}
    return _mapping({**node.fields, name: field}, keys, node.place, node.removed)


def _patch_value(base: Any, patch: Any) -> Any:
    """Do the same as `_patch` with the values of nodes that have no positions."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(base) if isinstance(base, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _patch_value(merged.get(name), value)
    return merged


def _patch(base: Node | None, patch: Node) -> Node:
    if not isinstance(patch.value, dict):
        return patch
    is_merged = base is not None and isinstance(base.value, dict)
    fields = dict(base.fields) if base and is_merged else {}
    keys = dict(base.keys) if base and is_merged else {}
    removed = dict(base.removed) if base and is_merged else {}
    for name, field in patch.fields.items():
        if field.value is None:
            removed[name] = patch.keys[name]
            fields.pop(name, None)
            keys.pop(name, None)
            continue
        before = fields.get(name)
        if before is None or not (isinstance(before.value, dict) and isinstance(field.value, dict)):
            keys[name] = patch.keys[name]
        fields[name] = _patch(before, field)
    return _mapping(fields, keys, base.place if base and is_merged else patch.place, removed)


def _mapping(
    fields: dict[str, Node], keys: dict[str, Position], place: Position, removed: Mapping[str, Position]
) -> Node:
    return Node({name: field.value for name, field in fields.items()}, place, fields=fields, keys=keys, removed=removed)
