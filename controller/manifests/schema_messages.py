"""Turns one error of the JSON Schema library into problems that say what was found, what is expected and where.

`schema_validation` calls it. It reads the library's error and our nodes only; it must not validate anything itself.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import islice
from typing import Any

from controller.manifests.command_checks import as_list, yaml_word
from controller.manifests.foreign_keys import foreign_key_hint, foreign_type_hint, stands_for
from controller.manifests.yaml.nodes import Node, Path, Position, Problem, kind_of, shorten

_NEAR = 0.6
_TYPES = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
}
_SECRET = "name where the value comes from: {env: NAME} or {file: /path}"
_PATTERNS = {
    "env": "the name of an environment variable of the controller",
    "file": "an absolute path on the machine of the controller",
    "project": "a project is named with lower-case letters, digits and hyphens",
    "queue": "a queue is named with lower-case letters, digits and hyphens, as in controller.yaml",
    "name": "a name has lower-case letters, digits and hyphens, begins and ends without a hyphen, and has at most 63",
    "flow": "write the Python file from the repository root, a colon, and the flow in it: flows/etl.py:main",
    "flow_location": "write the Python file relative to this file, without the flow: ../flows/etl.py (and flow_name)",
    "id": "an id has letters, digits, hyphens, underscores and dots, and at most 63",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaFault:
    """One keyword of the schema that refused the `instance` at `path`: the library's error, typed.

    `rule` is the value of the keyword, `properties` are the keys that the schema knows at this place.
    """

    keyword: str
    rule: Any
    instance: Any
    path: Path
    message: str
    properties: Mapping[str, Any] = field(default_factory=dict)


Wording = Callable[[SchemaFault, Node, Path], Iterator[Problem]]


def problems_of(fault: SchemaFault, root: Node) -> Iterator[Problem]:
    """What `fault`, found in the document `root`, is in words."""
    yield from _WORDINGS.get(fault.keyword, _other)(fault, root, fault.path)


def _unknown_keys(fault: SchemaFault, root: Node, path: Path) -> Iterator[Problem]:
    known = fault.properties
    for key in fault.instance:
        if key in known:
            continue
        place, shown = root.key_place((*path, key)), shorten(key)
        yield Problem(
            code="UnknownKey",
            message=f"there is no key {shown} here",
            place=place,
            path=(*path, key),
            hint=_key_hint(key, fault, root, path),
        )


def _key_hint(key: str, fault: SchemaFault, root: Node, path: Path) -> str:
    known = fault.properties
    foreign = None if _plain(key) in known else foreign_key_hint(path, key, fault.instance[key], root.value)
    return foreign or did_you_mean(key, known) or f"known keys: {', '.join(sorted(known))}"


def did_you_mean(word: str, known: Collection[str]) -> str | None:
    """A hint with the word of `known` that is nearest to `word`, if one is near."""
    if len(word) > 40:
        return None
    near = get_close_matches(_plain(word), known, n=1, cutoff=_NEAR)
    return f"did you mean {near[0]}?" if near else None


def _missing_key(fault: SchemaFault, root: Node, path: Path) -> Iterator[Problem]:
    for key in fault.rule:
        if key not in fault.instance and not _misspelt(fault, [key]):
            place = root.lack_place(path, key)
            yield Problem(code="MissingKey", message=f"the key {key} is missing", place=place, path=path)


def _exactly_one(fault: SchemaFault, root: Node, path: Path) -> Iterator[Problem]:
    choices = [branch["required"][0] for branch in fault.rule if "required" in branch]
    yield from _choice(choices, f"exactly one of {_or(choices)}", fault, root, path)


def _not_both(fault: SchemaFault, root: Node, path: Path) -> Iterator[Problem]:
    if "required" in fault.rule:
        choices = fault.rule["required"]
        yield from _choice(choices, f"only one of {_or(choices)}", fault, root, path)


def _choice(choices: list[str], expected: str, fault: SchemaFault, root: Node, path: Path) -> Iterator[Problem]:
    if not isinstance(fault.instance, dict):
        return  # the wrong type is reported on its own
    found = (key for key in choices if key in fault.instance)
    present = sorted(found, key=lambda key: _rank(root.key_place((*path, key))))
    if not present and not _misspelt(fault, choices):
        place = root.lack_place(path, *choices)
        yield Problem(code="MissingKey", message=f"needs {expected}", place=place, path=path)
    for extra in present[1:]:
        message = f"{extra} does not go with {present[0]}: {expected}"
        yield Problem(
            code="ConflictingKeys", message=message, place=root.key_place((*path, extra)), path=(*path, extra)
        )


def _rank(place: Position) -> tuple[int, Position]:
    """What is laid over the other comes later, otherwise what is written later."""
    return (0 if place.file else 2 if place.within else 1), place


def _misspelt(fault: SchemaFault, choices: Collection[str]) -> bool:
    """Whether an unknown key looks like one of `choices`: it gets its own finding, this one would be noise."""
    known = fault.properties
    unknown = list(islice((key for key in fault.instance if key not in known), 20))
    if not fault.path and any(stands_for(key) in choices or key == "deployments" for key in unknown):
        return True
    return any(len(key) <= 40 and get_close_matches(_plain(key), choices, n=1, cutoff=_NEAR) for key in unknown)


def _plain(word: str) -> str:
    return word.lower().replace("-", "_")


def _needs(fault: SchemaFault, root: Node, path: Path) -> Iterator[Problem]:
    for key, needed in fault.rule.items():
        if key in fault.instance and not all(other in fault.instance for other in needed):
            yield Problem(
                code="ConflictingKeys",
                message=f"{key} goes with {needed[0]} only",
                place=root.key_place((*path, key)),
                path=(*path, key),
            )


def _type(fault: SchemaFault, root: Node, path: Path) -> Iterator[Problem]:
    allowed = fault.rule if isinstance(fault.rule, list) else [fault.rule]
    expected = _or([_TYPES[name] for name in allowed])
    node, shown = root.at(path), kind_of(fault.instance)
    if node.text and not _is_secret(path):
        shown = f"{shown} ({shorten(node.text)})"
    if not path:
        message = f"a deployment is a mapping, this is {shown}"
        yield Problem(code="NotAMapping", message=message, place=node.place)
        return
    yield Problem(
        code="WrongType",
        message=f"{_label(path)} must be {expected}, this is {shown}",
        place=node.place,
        path=path,
        hint=_SECRET
        if _is_secret(path)
        else foreign_type_hint(path, fault.instance) or _type_hint(fault.instance, node.text, allowed, path),
    )


def _is_secret(path: Path) -> bool:
    """Whether `path` is that of a secret: what stands there is never repeated."""
    return len(path) > 1 and path[-2] == "secrets"


def _type_hint(value: Any, text: str, allowed: list[str], path: Path) -> str | None:
    if "string" in allowed and isinstance(value, bool | int | float):
        return f'write it in quotes: "{shorten(text)}"'
    if "boolean" in allowed and isinstance(value, str) and value.lower() in ("yes", "no", "on", "off"):
        return f"write {'true' if value.lower() in ('yes', 'on') else 'false'}"
    if "array" in allowed and isinstance(value, str):
        return _list_hint(value, path)
    if value is None and text == "":
        return "write a value, or remove the key"
    return None


def _list_hint(value: str, path: Path) -> str | None:
    """The list to write instead of a text: the words of a command, or what commas part."""
    if path[-1:] == ("command",):
        written = as_list(value)
        return f"write it as a list: {written}" if written else "write each word of the command as an item of a list"
    items = [item.strip() for item in value.split(",")] if len(value) <= 200 else []
    written = ", ".join(yaml_word(item) for item in items if item)
    return f"write it as a list: [{written}]" if written else None


def _pattern(fault: SchemaFault, root: Node, path: Path) -> Iterator[Problem]:
    hint = _PATTERNS.get(str(path[-1])) if path else None
    yield _invalid(root, path, f"{_label(path)} can't be {_quoted(fault.instance)}", hint)


def _bad_name(fault: SchemaFault, root: Node, path: Path) -> Iterator[Problem]:
    inner = (*path, fault.instance)
    message = f"{_quoted(fault.instance)} is no name for one of {_label(path)}"
    place = root.key_place(inner)
    yield Problem(code="InvalidValue", message=message, place=place, path=inner, hint=_PATTERNS["name"])


def _one_of_words(fault: SchemaFault, root: Node, path: Path) -> Iterator[Problem]:
    if not isinstance(fault.instance, str):
        return  # the wrong type is reported on its own
    words = list(fault.rule)
    hint = did_you_mean(fault.instance, words)
    yield _invalid(root, path, f"{_label(path)} must be {_or(words)}, not {_quoted(fault.instance)}", hint)


def _size(fault: SchemaFault, root: Node, path: Path) -> Iterator[Problem]:
    limit, what = fault.rule, "characters" if isinstance(fault.instance, str) else "items"
    if fault.keyword.startswith("min"):
        yield _invalid(root, path, f"{_label(path)} must not be empty", None)
    else:
        yield _invalid(root, path, f"{_label(path)} has {len(fault.instance)} {what}; at most {limit}", None)


def _range(fault: SchemaFault, root: Node, path: Path) -> Iterator[Problem]:
    bound = "at least" if fault.keyword == "minimum" else "at most"
    yield _invalid(root, path, f"{_label(path)} must be {bound} {fault.rule}", None)


def _other(fault: SchemaFault, root: Node, path: Path) -> Iterator[Problem]:
    yield _invalid(root, path, shorten(fault.message, 200), None)


def _invalid(root: Node, path: Path, message: str, hint: str | None) -> Problem:
    return Problem(code="InvalidValue", message=message, place=root.at(path).place, path=path, hint=hint)


def _label(path: Path) -> str:
    last = path[-1]
    return shorten(last) if isinstance(last, str) else f"item {last + 1} of {path[-2]}"


def _quoted(value: str) -> str:
    return f'"{shorten(value)}"'


def _or(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


_WORDINGS: dict[str, Wording] = {
    "additionalProperties": _unknown_keys,
    "required": _missing_key,
    "oneOf": _exactly_one,
    "not": _not_both,
    "dependencies": _needs,
    "type": _type,
    "pattern": _pattern,
    "propertyNames": _bad_name,
    "enum": _one_of_words,
    "minLength": _size,
    "maxLength": _size,
    "minItems": _size,
    "maxItems": _size,
    "maxProperties": _size,
    "minimum": _range,
    "maximum": _range,
}
