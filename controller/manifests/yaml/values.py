"""Reads the values of YAML documents without their positions, which takes half the time. `loader` calls it.

Most files have no findings, and only findings need positions. A file with anything unusual, such as an anchor, a tag, a
duplicate key or any other fault, is left to `builder`.
"""

from collections.abc import Callable, Iterable
from typing import Any

import yaml

from controller.manifests.yaml.builder import MAX_DEPTH, MAX_NODES, QUOTED, UNQUOTED, resolve

MAX_BYTES = MAX_NODES // 2
"""Limit for the size of a file that is read here. It cannot exceed any limit of `builder` except that of the depth."""
_STARTS = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_ENDS = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


class UnusualError(Exception):
    """Only `builder` can read this file."""


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
