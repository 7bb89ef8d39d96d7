"""Turns an error of the JSON Schema library into problems that say what was found, what is expected and where.

`schema_validation` calls it. It only words the library's errors, with positions from our nodes; it validates nothing.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import field
from itertools import islice
from typing import Any

from controller.manifests.command_checks import as_list, yaml_word
from controller.manifests.foreign_keys import default_hint, foreign_key_hint, foreign_type_hint, stands_for
from controller.manifests.misplaced_keys import misplaced_key_hint
from controller.manifests.word_hints import word_hint
from controller.manifests.yaml.nodes import Node, Path, Position, Problem, kind_of
from controller.model.names import NAME_PATTERN, name_hint
from controller.records import dataclass
from controller.schedules.messages import quote
from controller.text import closest, did_you_mean, join_or, shorten

_TYPES = {
    "string": "a string",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
}
_SECRET = "write where the value comes from: {env: NAME} or {file: /path}"
_MAY_BE_SECRET = frozenset({"env", "heartbeat"})
"""Keys whose values no hint repeats, besides those of `_hides_value`."""
_LABEL = "use lower-case letters, digits and hyphens, at most 63 characters, with no hyphen at either end"
_PATTERNS = {
    "to": "write the name of a channel of the operator: lower-case letters, digits and hyphens",
    "heartbeat": "write the whole URL, such as https://hc.example.com/ping/5f7c, or where it comes from: {env: NAME}",
    "env": "write the name of an environment variable of the controller",
    "file": "write an absolute path on the machine of the controller",
    "path": "write the absolute path of a folder on the machine of the controller: /srv/inbox",
    "header": "use letters, digits and hyphens, as in X-Signature",
    "interpreter": "write the path of an interpreter on the machine of the controller: /opt/venvs/etl/bin/python",
    "project": "use lower-case letters, digits and hyphens",
    "queue": "use lower-case letters, digits and hyphens, as in controller.yaml",
    "name": _LABEL,
    "custom": "use letters, digits, hyphens, underscores, dots and colons, at most 63, starting with a letter or digit",
    "matrix": "use letters, digits and underscores, starting with a letter or underscore",
    "flow": "write the file's path from the repository root, a colon and the flow: flows/etl.py:main",
    "flow_location": "write the file's path relative to this file (../flows/etl.py), and the flow in flow_name",
    "id": "use letters, digits, hyphens, underscores and dots, at most 63, starting with a letter or digit",
}
_BOUNDS = {"minimum": "at least", "maximum": "at most", "exclusiveMinimum": "more than"}
_ABSOLUTE_PATHS = frozenset({"interpreter", "path"})
_NO_PYTHON = "remove it: a deployment without `python` runs with the Python environment of the controller"
_IGNORED = re.compile(r"(?:[._]|X-)([-\w]+)")
"""Keys that other programs ignore."""
_OF_DOCUMENTS = frozenset({"name", "flow_location", "flow_name", "renamed_from", "environments"})
"""Keys of a deployment that defaults can't have."""
_CONTEXT = "write letters, digits and punctuation, with single spaces between words"
_DEPENDENCY_HINTS = {
    "skip_exit_code": 'remove it; a flow says that there is nothing to do with: raise Skip("reason")',
    "calendar": "add shift: next_business_day, or write except instead to leave out the days of the calendar",
    "outside": 'remove it, or add windows: [{days: mon-fri, from: "06:00", to: "20:00"}]',
}

_EMPTY_HINTS = {
    "on": "remove it, or write what starts a run: [{files: …}] or [{webhook: …}]",
    "after": "remove it, or write the name of a deployment",
}
_MISSING_HINTS = {
    ("webhook", "secret"): "add secret: {env: NAME}, a variable in the environment of the controller",
    ("webhook", "name"): "add name: NAME, the last part of the URL /hooks/NAME",
    ("on_silence", "stop"): "add stop: 5m, or another duration",
    ("files", "path"): "add path: /srv/inbox, the absolute path of a folder on the machine of the controller",
}
"""Hints for required keys that are missing, by the key above them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaFault:
    """A schema violation, as a typed copy of the library's error: `keyword` rejected the `instance` at `path`.

    `rule` is the value of the keyword; `properties` are the keys that the schema allows there. `defaults` are the keys
    that it allows in the defaults of controller.yaml; empty if the document is not controller.yaml, or below its top.
    """

    keyword: str
    rule: Any
    instance: Any
    path: Path
    message: str
    properties: Mapping[str, Any] = field(default_factory=dict)
    defaults: Collection[str] = ()


Describer = Callable[[SchemaFault, Node, Path], Iterator[Problem]]


def problems_of(fault: SchemaFault, root: Node) -> Iterator[Problem]:
    """Yield the problems that describe `fault`, which was found in the document `root`."""
    yield from _DESCRIBERS.get(fault.keyword, _other_keyword)(fault, root, fault.path)


def _unknown_keys(fault: SchemaFault, root: Node, path: Path) -> Iterator[Problem]:
    allowed_keys = fault.properties
    for key in fault.instance:
        if key in allowed_keys:
            continue
        place = root.key_place((*path, key))
        yield Problem(
            code="UnknownKey",
            message=f"unknown key `{shorten(key)}`",
            place=place,
            path=(*path, key),
            hint=_key_hint(key, fault, root, path),
        )


def _key_hint(key: str, fault: SchemaFault, root: Node, path: Path) -> str:
    allowed_keys = fault.properties
    if path[-1:] == ("defaults",) and key in _OF_DOCUMENTS:
        return "remove it: only a deployment can have this key"
    if not path and (own := _IGNORED.fullmatch(key)):
        return f"to have it ignored, name it x-{shorten(own[1])}"
    if fault.defaults:
        is_mapping = isinstance(fault.instance[key], dict)  # such as queue for queues
        hint = (is_mapping and did_you_mean(key, allowed_keys)) or default_hint(key, fault.instance, fault.defaults)
        if hint:
            return hint
    if path[:1] == ("environments",) and set(allowed_keys) == {"defaults"}:
        return did_you_mean(key, allowed_keys) or "write the keys of a deployment under defaults"
    is_allowed = key.lower().replace("-", "_") in allowed_keys
    foreign = None if is_allowed else foreign_key_hint(path, key, fault.instance[key], root.value)
    if not path and not is_allowed and "flow" in allowed_keys:
        foreign = foreign or misplaced_key_hint(key, fault.instance, allowed_keys)
    return foreign or did_you_mean(key, allowed_keys) or f"valid keys: {', '.join(sorted(allowed_keys))}"


def _missing_key(fault: SchemaFault, root: Node, path: Path) -> Iterator[Problem]:
    for key in fault.rule:
        if key not in fault.instance and not _misspelt(fault, [key]):
            place = root.removal_place(path, key)
            hint = _MISSING_HINTS.get((str(path[-1]) if path else "", key))
            message = f"required key `{key}` is missing"
            yield Problem(code="MissingKey", message=message, place=place, path=path, hint=hint)


def _exactly_one(fault: SchemaFault, root: Node, path: Path) -> Iterator[Problem]:
    choices = [branch["required"][0] for branch in fault.rule if "required" in branch]
    yield from _choice(choices, f"exactly one of {join_or(choices)}", fault, root, path)


def _not_both(fault: SchemaFault, root: Node, path: Path) -> Iterator[Problem]:
    if "required" in fault.rule:
        choices = fault.rule["required"]
        yield from _choice(choices, f"only one of {join_or(choices)}", fault, root, path)


def _choice(choices: list[str], expected: str, fault: SchemaFault, root: Node, path: Path) -> Iterator[Problem]:
    if not isinstance(fault.instance, dict):
        return  # the wrong type is reported on its own
    keys = (key for key in choices if key in fault.instance)
    present = sorted(keys, key=lambda key: _rank(root.key_place((*path, key))))
    if not present and not _misspelt(fault, choices):
        place = root.removal_place(path, *choices)
        yield Problem(code="MissingKey", message=f"{expected} is required", place=place, path=path)
    for extra in present[1:]:
        message = f"{extra} conflicts with {present[0]}: use {expected}"
        place, first = root.key_place((*path, extra)), root.key_place((*path, present[0]))
        is_inherited = (first.file, first.within) != (place.file, place.within)
        hint = f"to replace {present[0]}, also write {present[0]}: null" if is_inherited else None
        yield Problem(code="ConflictingKeys", message=message, place=place, path=(*path, extra), hint=hint)


def _rank(place: Position) -> tuple[int, Position]:
    """Sort key for positions: defaults, then the document, then its overlay; within each, in the order of the file."""
    return (0 if place.file else 2 if place.within else 1), place


def _misspelt(fault: SchemaFault, choices: Collection[str]) -> bool:
    """Return whether an unknown key resembles one of `choices`: its own finding suffices, a second would be noise."""
    allowed_keys = fault.properties
    unknown = list(islice((key for key in fault.instance if key not in allowed_keys), 20))
    if not fault.path and any(stands_for(key) in choices or key == "deployments" for key in unknown):
        return True
    is_trigger = fault.path[:1] == ("on",) and len(fault.path) < 3
    return (is_trigger and bool(unknown)) or any(closest(key, choices) for key in unknown)


def _missing_dependency(fault: SchemaFault, root: Node, path: Path) -> Iterator[Problem]:
    for key, needed in fault.rule.items():
        if key in fault.instance and not all(name in fault.instance for name in needed):
            yield Problem(
                code="ConflictingKeys",
                message=f"{key} requires {needed[0]}",
                place=root.key_place((*path, key)),
                path=(*path, key),
                hint=_DEPENDENCY_HINTS.get(key),
            )


def _type(fault: SchemaFault, root: Node, path: Path) -> Iterator[Problem]:
    allowed = fault.rule if isinstance(fault.rule, list) else [fault.rule]
    expected = join_or([_TYPES[name] if len(allowed) == 1 or name != "boolean" else "a boolean" for name in allowed])
    node, actual = root.at(path), kind_of(fault.instance)
    if node.text not in ("", actual) and not _hides_value(path):
        actual = f"{actual} ({shorten(node.text)})"
    if not path:
        message = f"a deployment must be a mapping, not {actual}"
        yield Problem(code="NotAMapping", message=message, place=node.place)
        return
    yield Problem(
        code="WrongType",
        message=f"{_label(path)} must be {expected}, not {actual}",
        place=node.place,
        path=path,
        hint=_hidden_type_hint(path, allowed)
        if _hides_value(path)
        else foreign_type_hint(path, fault.instance) or _type_hint(fault.instance, node.text, allowed, path),
    )


def _is_secret(path: Path) -> bool:
    """Return whether `path` is that of a secret."""
    if path[:1] == ("on",) and path[-2:] == ("webhook", "secret"):
        return True
    if path == ("commit_status", "token"):
        return True
    return len(path) > 1 and (path[-2] == "secrets" or (path[0] == "channels" and path[2:] == ("hmac",)))


def _hides_value(path: Path) -> bool:
    """Return whether the value at `path` must never appear in a message: secrets, and parts of the operator's file."""
    return _is_secret(path) or path[:1] in (("channels",), ("commit_status",))


def _hidden_type_hint(path: Path, allowed: list[str]) -> str | None:
    """Return the hint for a value of the wrong type that must not appear in it."""
    if _is_secret(path):
        return _SECRET
    if path == ("commit_status",):
        return "write a mapping: {provider: github, token: {env: NAME}}"
    if path[0] == "channels" and len(path) == 2:
        return "write its URL under the key url or webhook: {url: {env: NAME}}"
    return "write it in quotes" if "string" in allowed else None


def _type_hint(value: Any, text: str, allowed: list[str], path: Path) -> str | None:
    if "string" in allowed and isinstance(value, bool | int | float):
        return _silence_hint(text) if path == ("on_silence",) else f'write it in quotes: "{shorten(text)}"'
    if "boolean" in allowed and isinstance(value, str) and value.lower() in ("yes", "no", "on", "off", "true", "false"):
        key = f"{path[-1]}: " if path and isinstance(path[-1], str) else ""
        return f"write {key}{'true' if value.lower() in ('yes', 'on', 'true') else 'false'}"
    if "array" in allowed and isinstance(value, str):
        return _list_hint(value, path)
    is_only = isinstance(value, list) and len(value) == 1 and isinstance(value[0], str)
    if "string" in allowed and is_only and not _MAY_BE_SECRET.intersection(path):
        return f"write {yaml_word(value[0])}, without brackets"
    if value is None and isinstance(path[-1], int):
        return "write a value, or remove the item"
    if value is None and path == ("python",):
        return _NO_PYTHON
    if value is None:
        return "write a value, or remove the key" if text == "" else "remove the key: it has no default to drop"
    return None


def _list_hint(value: str, path: Path) -> str | None:
    """Return the list to write instead of a string: the words of a command, or the items between commas."""
    if path[-1:] == ("command",):
        written = as_list(value)
        return f"write it as a list: {written}" if written else "write the command as a list, with one item per word"
    items = [item.strip() for item in value.split(",")] if len(value) <= 200 else []
    written = ", ".join(yaml_word(item) for item in items if item)
    return f"write it as a list: [{written}]" if written else None


def _pattern(fault: SchemaFault, root: Node, path: Path) -> Iterator[Problem]:
    key = next((part for part in reversed(path) if isinstance(part, str)), "")
    hides = _hides_value(path) or key == "heartbeat"  # its URL may be a secret
    message = f"invalid {_label(path)}" if hides else f"invalid {_label(path)}: {quote(fault.instance)}"
    if key in _ABSOLUTE_PATHS:
        message = f"{key} must be an absolute path, not {quote(fault.instance)}"
    is_name = fault.rule == NAME_PATTERN
    hint = name_hint(fault.instance) if is_name else _PATTERNS.get(key)
    hint = _CONTEXT if path == ("commit_status", "context") else hint
    placeholder = re.search(r"\{(\w+)\}", fault.instance)
    if placeholder and path in (("name",), ("renamed_from",)) and "matrix" not in root.value:
        hint = f"a placeholder needs a matrix: write matrix: {{{shorten(placeholder[1])}: [a, b]}} with its values"
    yield _invalid(root, path, message, hint)


def _invalid_name(fault: SchemaFault, root: Node, path: Path) -> Iterator[Problem]:
    inner = (*path, fault.instance)
    message = f"{quote(fault.instance)} is not a valid name under {_label(path)}"
    place = root.key_place(inner)
    hint = _PATTERNS[str(path[-1]) if path[-1:] in (("matrix",), ("custom",)) else "name"]
    yield Problem(code="InvalidValue", message=message, place=place, path=inner, hint=hint)


def _not_in_enum(fault: SchemaFault, root: Node, path: Path) -> Iterator[Problem]:
    if not isinstance(fault.instance, str):
        return  # the wrong type is reported on its own
    words = list(fault.rule)
    hint = word_hint(path, fault.instance) or did_you_mean(fault.instance, words)
    if path == ("on_silence",):
        hint = hint or _silence_hint(fault.instance)
    yield _invalid(root, path, f"{_label(path)} must be {join_or(words)}, not {quote(fault.instance)}", hint)


def _silence_hint(text: str) -> str:
    return (
        f"write {{stop: {shorten(text)}}}"
        if re.match("[0-9]|PT?[0-9]", text)
        else "write {stop: 5m}, or another duration"
    )


def _size(fault: SchemaFault, root: Node, path: Path) -> Iterator[Problem]:
    limit, unit = fault.rule, "characters" if isinstance(fault.instance, str) else "items"
    if fault.keyword.startswith("min"):
        hint = _EMPTY_HINTS.get(str(path[0])) if len(path) == 1 else None
        yield _invalid(root, path, f"{_label(path)} must not be empty", hint)
    else:
        yield _invalid(root, path, f"{_label(path)} has {len(fault.instance)} {unit}; the limit is {limit}", None)


def _range(fault: SchemaFault, root: Node, path: Path) -> Iterator[Problem]:
    bound = _BOUNDS[fault.keyword]
    yield _invalid(root, path, f"{_label(path)} must be {bound} {fault.rule}", None)


def _other_keyword(fault: SchemaFault, root: Node, path: Path) -> Iterator[Problem]:
    yield _invalid(root, path, shorten(fault.message, 200), None)


def _invalid(root: Node, path: Path, message: str, hint: str | None) -> Problem:
    return Problem(code="InvalidValue", message=message, place=root.at(path).place, path=path, hint=hint)


def _label(path: Path) -> str:
    last = path[-1]
    return shorten(last) if isinstance(last, str) else f"item {last + 1} of {path[-2]}"


_DESCRIBERS: dict[str, Describer] = {
    "additionalProperties": _unknown_keys,
    "required": _missing_key,
    "oneOf": _exactly_one,
    "not": _not_both,
    "dependencies": _missing_dependency,
    "type": _type,
    "pattern": _pattern,
    "propertyNames": _invalid_name,
    "enum": _not_in_enum,
    "minLength": _size,
    "maxLength": _size,
    "minItems": _size,
    "maxItems": _size,
    "maxProperties": _size,
    "minimum": _range,
    "maximum": _range,
    "exclusiveMinimum": _range,
}
