"""A quick yes or no to "does this document have the shape?": our JSON Schema compiled to plain functions.

`schema_validation` asks here first, and the JSON Schema library only for the reasons of a no: good documents, nearly
all of them, cost microseconds, and a repository without faults never loads the library. Only the keywords that our
schema uses are known, any other is refused; a test holds both against each other.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any], bool]

_ANNOTATIONS = frozenset({"$schema", "$id", "title", "description", "examples", "default", "definitions"})


class Compiler:
    """Compiles the parts of one schema; `definitions` are what its references point at."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._definitions: Mapping[str, Any] = schema.get("definitions", {})
        self._whole: Check | None = None

    def compile(self, schema: Mapping[str, Any]) -> Check:
        """The check of `schema`. Raises ValueError for a keyword that is not known here."""
        if schema.get("$ref") == "#":
            return self._again
        if reference := schema.get("$ref"):
            return self.compile(self._definitions[reference.removeprefix("#/definitions/")])
        parts = [self._keyword(key, rule, schema) for key, rule in schema.items() if key not in _ANNOTATIONS]
        checks = tuple(part for part in parts if part is not None)
        return checks[0] if len(checks) == 1 else _every(checks)

    def _again(self, value: Any) -> bool:
        """The check of the whole schema, of a value inside."""
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
        raise ValueError(f"the schema uses {key}, which is not known here")

    def _fields(self, schema: Mapping[str, Any]) -> Check:
        known = {key: self.compile(rule) for key, rule in schema.get("properties", {}).items()}
        others = schema.get("additionalProperties", True)
        other: Check = (lambda _: bool(others)) if isinstance(others, bool) else self.compile(others)

        def fields(value: Any) -> bool:
            if isinstance(value, dict):
                for key, item in value.items():
                    if not known.get(key, other)(item):
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
        present = [needed for key, needed in rule.items() if key in value] if isinstance(value, dict) else []
        return all(other in value for needed in present for other in needed)

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
