"""Converts values to plain JSON, for both `-o json` and the HTTP API. The fields of a dataclass are the keys."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from functools import cache
from typing import Any

MAX_LEVELS = 200
"""The nesting limit of the output; `json.dumps` fails on much deeper values. Input is limited to far fewer levels."""
CUT = "…"


def to_json(value: Any) -> Any:
    """Convert a value to what `json.dumps` accepts: dataclasses to dicts, datetimes to UTC with `Z`.

    Fields that are marked as `controller.model.INTERNAL` are left out, and an `id` comes first.
    Values nested deeper than `MAX_LEVELS` become `CUT`. Never raises.
    """
    return _plain(value, MAX_LEVELS)


def json_bytes(value: Any) -> bytes:
    """Return the JSON of a value in UTF-8, as `json.dumps` formats it.

    Fields and items of the two outer levels are converted one by one, because the plain values of a long list would
    need many times the memory of its text.
    """
    return b"".join(_parts(value, 2, MAX_LEVELS))


def _parts(value: Any, outer: int, levels: int) -> Iterator[bytes]:
    is_object = is_dataclass(value) and not isinstance(value, type)
    if not outer or not (is_object or isinstance(value, Mapping | list | tuple)):
        yield _utf8(_plain(value, levels))
    elif is_object or isinstance(value, Mapping):
        shape: Any = type(value)
        items = {key: getattr(value, name) for key, name in field_names(shape).items()} if is_object else value
        yield b"{"
        for number, (key, item) in enumerate(items.items()):
            yield b", " if number else b""
            yield _utf8(str(key)) + b": "
            yield from _parts(item, outer - 1, levels - 1)
        yield b"}"
    else:
        yield b"["
        for number, item in enumerate(value):
            yield b", " if number else b""
            yield from _parts(item, outer - 1, levels - 1)
        yield b"]"


def _utf8(plain: Any) -> bytes:
    return json.dumps(plain, ensure_ascii=False).encode("utf-8", "backslashreplace")


def depth(value: Any) -> int:
    """Return the nesting depth of lists and objects in this JSON value. A number has 0, `[[]]` has 2."""
    deepest, level = 0, [value]
    while level := [item for item in level if isinstance(item, Mapping | list | tuple)]:
        deepest += 1
        level = [inner for item in level for inner in (item.values() if isinstance(item, Mapping) else item)]
    return deepest


def _plain(value: Any, levels: int) -> Any:
    if isinstance(value, datetime):
        return utc(value)
    is_object = is_dataclass(value) and not isinstance(value, type)
    if not is_object and not isinstance(value, Mapping | list | tuple):
        return value
    if not levels:
        return CUT
    if is_object:
        shape: Any = type(value)
        return {key: _plain(getattr(value, name), levels - 1) for key, name in field_names(shape).items()}
    if isinstance(value, Mapping):
        return {str(key): _plain(item, levels - 1) for key, item in value.items()}
    return [_plain(item, levels - 1) for item in value]


@cache
def field_names(shape: type) -> dict[str, str]:
    """Return the names of the fields of a dataclass by their keys in the JSON, in the order of the JSON."""
    public = [field for field in fields(shape) if not field.metadata.get("exclude")]
    public.sort(key=lambda field: field.name != "id")
    return {field.metadata.get("serialization_alias", field.name): field.name for field in public}


def utc(instant: datetime) -> str:
    """Format an instant as `2026-11-23T09:00:00Z`, with microseconds only if they are not zero."""
    from datetime import UTC

    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
