"""Compiles our JSON Schema to plain functions that quickly check whether a document is valid.

`schema_validation` calls this first, and needs the JSON Schema library only to explain why a document is invalid. Valid
documents, nearly all of them, take microseconds, and a repository without errors never loads the library. Only the
keywords that our schemas use are supported; any other raises. A test compares the two validators.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any], bool]

_ANNOTATIONS = frozenset({"$schema", "$id", "title", "description", "examples", "default", "definitions"})


class Compiler:
    """Compiles the parts of one schema. References are resolved in its `definitions`."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._definitions: Mapping[str, Any] = schema.get("definitions", {})
        self._whole: Check | None = None

    def compile(self, schema: Mapping[str, Any]) -> Check:
        """Return the check for `schema`. Raises ValueError for an unsupported keyword."""
        if schema.get("$ref") == "#":
            return self._check_whole
        if reference := schema.get("$ref"):
            return self.compile(self._definitions[reference.removeprefix("#/definitions/")])
        parts = [self._keyword(key, rule, schema) for key, rule in schema.items() if key not in _ANNOTATIONS]
        checks = tuple(part for part in parts if part is not None)
        return checks[0] if len(checks) == 1 else _every(checks)

    def _check_whole(self, value: Any) -> bool:
        """Check `value` against the whole schema; compiled on first use, because the reference `#` is recursive."""
        if self._whole is None:
            self._whole = self.compile(self._schema)
        return self._whole(value)

    def _keyword(self, key: str, rule: Any, schema: Mapping[str, Any]) -> Check | None:
        if key == "additionalProperties" and "properties" in schema:
            return None  # compiled with "properties"
        if key in ("properties", "additionalProperties"):
            return self._fields(schema)
        if key in _SIMPLE:
            return _SIMPLE[key](rule)
        if key in ("oneOf", "allOf", "not", "items", "propertyNames"):
            return self._nested(key, rule)
        raise ValueError(f"the schema uses the unsupported keyword {key}")

    def _fields(self, schema: Mapping[str, Any]) -> Check:
        checks = {key: self.compile(rule) for key, rule in schema.get("properties", {}).items()}
        additional = schema.get("additionalProperties", True)
        fallback: Check = (lambda _: bool(additional)) if isinstance(additional, bool) else self.compile(additional)

        def fields(value: Any) -> bool:
            if isinstance(value, dict):
                for key, item in value.items():
                    if not checks.get(key, fallback)(item):
                        return False
            return True

        return fields

    def _nested(self, key: str, rule: Any) -> Check:
        if key == "oneOf":
            branches = [self.compile(branch) for branch in rule]
            return lambda value: sum(branch(value) for branch in branches) == 1
        if key == "allOf":
            return _every(tuple(self.compile(branch) for branch in rule))
        inner = self.compile(rule)
        if key == "not":
            return lambda value: not inner(value)
        container = list if key == "items" else dict
        return lambda value: not isinstance(value, container) or all(inner(item) for item in value)


def _every(checks: tuple[Check, ...]) -> Check:
    def every(value: Any) -> bool:
        for check in checks:  # noqa: SIM110 - twice as fast as all()
            if not check(value):
                return False
        return True

    return every


def _type(rule: str | list[str]) -> Check:
    allowed = [_TYPES[name] for name in ([rule] if isinstance(rule, str) else rule)]
    types = tuple(cls for classes in allowed for cls in classes)
    if rule == "integer":
        return lambda value: type(value) is int or (type(value) is float and value.is_integer())
    return lambda value: type(value) in types


def _pattern(rule: str) -> Check:
    find = re.compile(rule.removesuffix("$") + r"\Z").search
    return lambda value: not isinstance(value, str) or find(value) is not None


def _required(rule: list[str]) -> Check:
    return lambda value: not isinstance(value, dict) or all(key in value for key in rule)


def _dependencies(rule: Mapping[str, list[str]]) -> Check:
    def complete(value: Any) -> bool:
        required = [keys for key, keys in rule.items() if key in value] if isinstance(value, dict) else []
        return all(key in value for keys in required for key in keys)

    return complete


def _range(*, low: float = -math.inf, high: float = math.inf) -> Check:
    return lambda value: not isinstance(value, int | float) or isinstance(value, bool) or low <= value <= high


def _size(
    container: type[str] | type[list[Any]] | type[dict[str, Any]], *, low: int = 0, high: int | None = None
) -> Check:
    def within(value: Any) -> bool:
        return not isinstance(value, container) or (len(value) >= low and (high is None or len(value) <= high))

    return within


_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}
_SIMPLE: dict[str, Callable[[Any], Check]] = {
    "type": _type,
    "enum": lambda rule: lambda value: value in rule,
    "pattern": _pattern,
    "required": _required,
    "dependencies": _dependencies,
    "minLength": lambda rule: _size(str, low=rule),
    "maxLength": lambda rule: _size(str, high=rule),
    "minItems": lambda rule: _size(list, low=rule),
    "maxItems": lambda rule: _size(list, high=rule),
    "maxProperties": lambda rule: _size(dict, high=rule),
    "minimum": lambda rule: _range(low=rule),
    "maximum": lambda rule: _range(high=rule),
}
