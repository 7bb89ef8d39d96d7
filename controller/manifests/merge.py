"""Merges documents after RFC 7396, node by node, so that everything merged still knows where it was written.

`overlays` and `project_file` call it. It knows no key of the format, reports nothing, and changes no node.
"""

from collections.abc import Collection, Mapping

from controller.manifests.yaml.nodes import Node, Position


def relocate(node: Node, *, file: str = "", within: tuple[str, ...] = ()) -> Node:
    """The same node, written in another `file` than the document, or `within` some keys of it."""

    def moved(place: Position) -> Position:
        return Position(place.line, place.column, file, within)

    return node._replace(
        place=moved(node.place),
        fields={name: relocate(field, file=file, within=within) for name, field in node.fields.items()},
        keys={name: moved(place) for name, place in node.keys.items()},
        items=tuple(relocate(item, file=file, within=within) for item in node.items),
    )


def overlay(base: Node, patch: Node) -> Node:
    """`patch` applied to `base`: mappings are merged, everything else is replaced, null removes."""
    return _patched(base, patch)


def default(defaults: Node, document: Node) -> Node:
    """`document` over `defaults`: null removes what the defaults say; where they say nothing, it stays a value."""
    if not isinstance(document.value, dict) or not isinstance(defaults.value, dict):
        return document
    fields, keys, gone = dict(document.fields), dict(document.keys), {**defaults.gone, **document.gone}
    for name, usual in defaults.fields.items():
        said = fields.get(name)
        if said is None:
            fields[name], keys[name] = usual, defaults.keys[name]
        elif said.value is None:
            gone[name] = keys[name]
            del fields[name], keys[name]
        else:
            fields[name] = default(usual, said)
    return _mapping(fields, keys, document.place, gone)


def united(first: Node, second: Node) -> Node:
    """A mapping with every key of either, at every level; for asking what is declared, not for what it says."""
    if not isinstance(first.value, dict) or not isinstance(second.value, dict):
        return first if isinstance(first.value, dict) else second
    fields, keys = {**second.fields, **first.fields}, {**second.keys, **first.keys}
    for name in first.fields.keys() & second.fields.keys():
        fields[name] = united(first.fields[name], second.fields[name])
    return _mapping(fields, keys, first.place, {})


def removed(declared: Node, document: Node, *, values: Collection[str] = (), is_nested: bool = False) -> Node:
    """The document without the nulls that remove a key which `declared` has, whether there is anything to remove.

    Within a mapping that `declared` has too, every null removes. Below the keys `values`, a null for a key that it does
    not have is a value.
    """
    if not isinstance(document.value, dict) or not isinstance(declared.value, dict):
        return document
    fields, keys, gone = dict(document.fields), dict(document.keys), dict(document.gone)
    for name, said in document.fields.items():
        known = declared.fields.get(name)
        if said.value is None and (known is not None or is_nested):
            gone[name] = keys.pop(name)
            del fields[name]
        elif known is not None:
            fields[name] = removed(known, said, is_nested=name not in values)
    return _mapping(fields, keys, document.place, gone) if fields != document.fields else document


def without(node: Node, *names: str) -> Node:
    """A mapping without some of its keys."""
    fields = {name: field for name, field in node.fields.items() if name not in names}
    keys = {name: place for name, place in node.keys.items() if name not in names}
    return _mapping(fields, keys, node.place, node.gone)


def _patched(base: Node | None, patch: Node) -> Node:
    if not isinstance(patch.value, dict):
        return patch
    is_merged = base is not None and isinstance(base.value, dict)
    fields = dict(base.fields) if base and is_merged else {}
    keys = dict(base.keys) if base and is_merged else {}
    gone = dict(base.gone) if base and is_merged else {}
    for name, said in patch.fields.items():
        if said.value is None:
            gone[name] = patch.keys[name]
            fields.pop(name, None)
            keys.pop(name, None)
            continue
        before = fields.get(name)
        if before is None or not (isinstance(before.value, dict) and isinstance(said.value, dict)):
            keys[name] = patch.keys[name]
        fields[name] = _patched(before, said)
    return _mapping(fields, keys, base.place if base and is_merged else patch.place, gone)


def _mapping(fields: dict[str, Node], keys: dict[str, Position], place: Position, gone: Mapping[str, Position]) -> Node:
    return Node({name: field.value for name, field in fields.items()}, place, fields=fields, keys=keys, gone=gone)
