"""Expands a document with a `matrix` into one document for each combination of its values.

`overlays` calls it for documents that are already merged with the defaults and the overlay. A reference such as
`{from: matrix.region}` is replaced by the value of a combination, with the position of that value, and so are
placeholders such as `{region}` in a few strings. An expanded document keeps its combination as a matrix of one value
per key, so that it is complete, and expanding it again changes nothing.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import product
from math import prod
from typing import Any

from controller.manifests.merge import without_keys
from controller.manifests.schema_validation import check_shape
from controller.manifests.yaml.nodes import Node, Path, Position, Problem
from controller.model.findings import Severity
from controller.model.names import fold_name
from controller.records import dataclass
from controller.schedules.messages import quote
from controller.text import did_you_mean, shorten

MATRIX = "matrix"
MAX_COMBINATIONS = 1000
MAX_VALUES = 1_000_000
"""Limit for the values of all expanded documents together, so that a large document is not copied a thousand times."""
_EXCLUDE, _INCLUDE = "exclude", "include"
_NOT_EXPANDED = (MATRIX, "environments")
_WITH_PLACEHOLDERS = ("name", "renamed_from", "description", "version")
_WITH_PLACEHOLDERS_INSIDE = ("tags", "after")
_NAMES = ("name", "renamed_from", "after")
_LITERALS = frozenset({"parameters", "env", "command"})
_MAY_HAVE_LITERALS = _LITERALS | {"schedule", "schedules", "on"}
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_PREFIX = "matrix."
_MAX_SHOWN = 3

Combination = Mapping[str, Node]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """The documents of one document: itself without a matrix, none if a problem is an error."""

    roots: tuple[Node, ...]
    problems: tuple[Problem, ...] = ()


def expand(root: Node, limit: int = MAX_COMBINATIONS) -> Expansion:
    """Return the documents of all combinations, at most `limit`, in the order of the values. Never raises."""
    matrix = root.child(MATRIX)
    if matrix is None:
        return Expansion(roots=(root,))
    problems = list(_check_shape(root, matrix)) or list(_check_size(root, matrix, limit))
    if problems:
        return Expansion(roots=(), problems=tuple(problems))
    combinations, problems = _combinations(matrix)
    keys = tuple(combinations[0]) if combinations else ()
    places = list(_find_places(root, ()))
    problems += [*_check_places(places, keys), *_literal_placeholders(root, (), keys)]
    if not combinations and not any(problem.is_error for problem in problems):
        problems.append(_nothing_left(matrix))
    if any(problem.is_error for problem in problems):
        return Expansion(roots=(), problems=tuple(problems))
    roots = tuple(_expanded(root, matrix, places, combination) for combination in combinations)
    problems += _check_names(root, combinations, roots)
    return Expansion(roots=() if any(problem.is_error for problem in problems) else roots, problems=tuple(problems))


def combination_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of an expanded document by key; empty if it comes from a document without a matrix."""
    return {key: values[0] for key, values in document.get(MATRIX, {}).items()}


def _check_shape(root: Node, matrix: Node) -> Iterable[Problem]:
    """Return the problems of the matrix alone, by the schema."""
    fields = {MATRIX: matrix}
    value = {MATRIX: matrix.value, "name": "a", "command": ["a"]}
    return check_shape(Node(value, root.place, fields=fields, keys={MATRIX: root.keys[MATRIX]}))


def _check_size(root: Node, matrix: Node, limit: int) -> Iterator[Problem]:
    axes, included = _axes(matrix), _items(matrix, _INCLUDE)
    count = len(included) + (prod(len(axis.items) for axis in axes.values()) if axes else 0)
    if not axes and not included:
        message = "the matrix has neither a key with values nor include"
        yield _problem("InvalidMatrix", message, matrix, (MATRIX,), hint="write a list of values: {region: [eu, us]}")
    elif count > MAX_COMBINATIONS:
        message = f"the matrix has {count} combinations; the limit is {MAX_COMBINATIONS}, also counting excluded ones"
        yield _problem("MatrixTooLarge", message, matrix, (MATRIX,), hint="divide the values between several documents")
    elif count > limit:
        message = f"the matrix has {count} combinations, and the matrices of this file too many together"
        yield _problem("MatrixTooLarge", message, matrix, (MATRIX,), hint="move this document to a file of its own")
    elif count * (size := _size(without_keys(root, *_NOT_EXPANDED))) > MAX_VALUES:
        message = f"the document has {size} values and the matrix {count} combinations, which is more than {MAX_VALUES}"
        hint = "divide the values between several documents"
        yield _problem("MatrixTooLarge", f"{message} values together", matrix, (MATRIX,), hint=hint)


def _combinations(matrix: Node) -> tuple[list[Combination], list[Problem]]:
    """Return the combinations of the values without those that are excluded, then those that are included."""
    axes, excluded, included = _axes(matrix), _items(matrix, _EXCLUDE), _items(matrix, _INCLUDE)
    keys = tuple(axes or included[0].fields)
    problems = [
        problem
        for name, entries in ((_EXCLUDE, excluded), (_INCLUDE, included))
        for index, entry in enumerate(entries)
        for problem in _check_entry(entry, (MATRIX, name, index), keys, is_complete=name == _INCLUDE)
    ]
    if problems:
        return [], problems
    rows = [dict(zip(axes, items, strict=True)) for items in product(*(axis.items for axis in axes.values()))]
    rows = [row for row in rows if row]
    for index, entry in enumerate(excluded):
        remaining = [row for row in rows if not _matches(entry, row)]
        if len(remaining) == len(rows):
            problems.append(_unused(entry, index))
        rows = remaining
    return [*rows, *({key: entry.fields[key] for key in keys} for entry in included)], problems


def _check_entry(entry: Node, path: Path, keys: tuple[str, ...], *, is_complete: bool) -> Iterator[Problem]:
    """Yield the problems of an item of `exclude`, or of one of `include`, which needs all keys."""
    for key in entry.fields:
        if key not in keys:
            yield _unknown_key(key, keys, entry.keys[key], (*path, key))
    missing = [key for key in keys if key not in entry.fields]
    if is_complete and missing:
        message = f"a combination needs a value for {', '.join(missing[:_MAX_SHOWN])}"
        yield _problem("InvalidMatrix", message, entry, path, hint="give every key of the matrix a value")


def _matches(entry: Node, row: Combination) -> bool:
    return all(_is_same(field.value, row[key].value) for key, field in entry.fields.items())


def _is_same(first: Any, second: Any) -> bool:
    """Return whether two values are equal; true and 1 are different."""
    return first == second and isinstance(first, bool) == isinstance(second, bool)


def _find_places(node: Node, path: Path) -> Iterator[tuple[Path, Node]]:
    """Yield the references to the matrix and the strings with placeholders, each with its path."""
    if _is_reference(node) or (isinstance(node.value, str) and "{" in node.value and _takes_placeholders(path)):
        yield path, node
        return
    for name, field in node.fields.items():
        if path or name not in _NOT_EXPANDED:
            yield from _find_places(field, (*path, name))
    for index, item in enumerate(node.items):
        yield from _find_places(item, (*path, index))


def _is_reference(node: Node) -> bool:
    source = node.value.get("from") if isinstance(node.value, dict) else None
    return isinstance(source, str) and source.startswith(_PREFIX)


def _takes_placeholders(path: Path) -> bool:
    """Return whether placeholders in the string at this path are replaced, also in {from: "load-{region}.result"}."""
    if path[-1:] == ("from",) or (path[:1] == ("on",) and "parameters" not in path):
        return True
    return bool(path) and (path[0] in _WITH_PLACEHOLDERS_INSIDE or (len(path) == 1 and path[0] in _WITH_PLACEHOLDERS))


def _check_places(places: Iterable[tuple[Path, Node]], keys: tuple[str, ...]) -> Iterator[Problem]:
    """Yield the problems of references and of placeholders in names. Other strings may contain any braces."""
    for path, node in places if keys else ():
        if _is_reference(node):
            yield from _check_reference(node, path, keys)
        elif path[0] in _NAMES:
            for name in _PLACEHOLDER.findall(node.value):
                if name not in keys:
                    yield _unknown_key(name, keys, node.place, path)


def _literal_placeholders(node: Node, path: Path, keys: Collection[str]) -> Iterator[Problem]:
    """Yield a warning for each value that contains a key of the matrix as a placeholder which is not replaced."""
    if path and path[0] not in _MAY_HAVE_LITERALS:
        return
    if isinstance(node.value, str) and not _takes_placeholders(path):
        name = next((name for name in _PLACEHOLDER.findall(node.value) if name in keys), None)
        if name is not None and not _LITERALS.isdisjoint(path):
            message = f"{{{name}}} is not replaced here"
            reference = f"{{from: {_PREFIX}{name}}}"
            is_whole = node.value == f"{{{name}}}"
            hint = f"write {reference}" if is_whole else f"write {reference}, or add a key with the text to the matrix"
            yield Problem(
                code="PlaceholderNotReplaced",
                message=message,
                place=node.place,
                path=path,
                hint=hint,
                severity=Severity.WARNING,
            )
    for key, field in node.fields.items():
        yield from _literal_placeholders(field, (*path, key), keys)
    for index, item in enumerate(node.items):
        yield from _literal_placeholders(item, (*path, index), keys)


def _check_reference(node: Node, path: Path, keys: tuple[str, ...]) -> Iterator[Problem]:
    name = node.value["from"].removeprefix(_PREFIX)
    if name not in keys:
        yield _unknown_key(name, keys, node.fields["from"].place, (*path, "from"))
    for key in node.fields:
        if key != "from":
            message, hint = f"a reference to the matrix has no key {quote(key)}", f"write {{from: {_PREFIX}{name}}}"
            place = node.keys[key]
            yield Problem(code="InvalidReference", message=message, place=place, path=(*path, key), hint=hint)


def _expanded(root: Node, matrix: Node, places: Iterable[tuple[Path, Node]], combination: Combination) -> Node:
    values = {key: Node([value.value], value.place, items=(value,)) for key, value in combination.items()}
    document = _with_value(root, (MATRIX,), _mapping(matrix, values))
    for path, node in places:
        document = _with_value(document, path, _value_of(node, combination))
    return document


def _value_of(node: Node, combination: Combination) -> Node:
    """Return the value of a reference or a string in this combination."""
    if _is_reference(node):
        return combination[node.value["from"].removeprefix(_PREFIX)]

    def text(match: re.Match[str]) -> str:
        return _text(combination[match[1]].value) if match[1] in combination else match[0]

    value = _PLACEHOLDER.sub(text, node.value)
    return node._replace(value=value, text=value)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _with_value(node: Node, path: Path, value: Node) -> Node:
    """Return a copy of the node with another value at `path`; everything beside the path is shared."""
    if not path:
        return value
    step, *rest = path
    if isinstance(step, str):
        field = _with_value(node.fields[step], tuple(rest), value)
        return node._replace(value={**node.value, step: field.value}, fields={**node.fields, step: field})
    item = _with_value(node.items[step], tuple(rest), value)
    items = (*node.items[:step], item, *node.items[step + 1 :])
    return node._replace(value=[each.value for each in items], items=items)


def _mapping(matrix: Node, fields: dict[str, Node]) -> Node:
    keys = {key: matrix.keys.get(key, field.place) for key, field in fields.items()}
    return Node({key: field.value for key, field in fields.items()}, matrix.place, fields=fields, keys=keys)


def _check_names(root: Node, combinations: list[Combination], roots: tuple[Node, ...]) -> Iterator[Problem]:
    """Yield a problem for the first name that several combinations get. Upper and lower case are not different."""
    first: dict[str, int] = {}
    for index, document in enumerate(roots):
        name = document.value.get("name")
        other = first.setdefault(fold_name(name), index) if isinstance(name, str) else index
        if other != index:
            both = f"{_spell(combinations[other])} and {_spell(combinations[index])}"
            earlier = roots[other].value["name"]
            message = f"{both} both get the name {name}"
            if earlier != name:
                message = f"{both} get names that differ only in case: {earlier} and {name}"
            unused = [key for key in combinations[index] if f"{{{key}}}" not in str(root.value["name"])]
            differing = [key for key in unused if not _is_same_in(key, combinations[other], combinations[index])]
            hint = f"add {{{differing[0]}}} to the name" if differing else "change the name, or one of the values"
            yield _problem("DuplicateName", shorten(message, 300), root.at(("name",)), ("name",), hint=hint)
            return


def _is_same_in(key: str, first: Combination, second: Combination) -> bool:
    return _is_same(first[key].value, second[key].value)


def _spell(combination: Combination) -> str:
    return f"{{{', '.join(f'{key}: {_text(value.value)}' for key, value in combination.items())}}}"


def _nothing_left(matrix: Node) -> Problem:
    hint = "remove an item of exclude; to leave the deployments out of an environment, write enabled: false"
    return _problem("InvalidMatrix", "the matrix excludes all of its combinations", matrix, (MATRIX,), hint=hint)


def _unused(entry: Node, index: int) -> Problem:
    message = f"this item excludes no combination: {_spell(entry.fields)}"
    return Problem(
        code="UnusedExclude",
        message=shorten(message, 200),
        place=entry.place,
        path=(MATRIX, _EXCLUDE, index),
        hint="remove it, or correct its values",
        severity=Severity.WARNING,
    )


def _unknown_key(key: str, keys: Collection[str], place: Position, path: Path) -> Problem:
    hint = did_you_mean(key, keys) or f"keys of the matrix: {', '.join(keys)}"
    message = f"the matrix has no key {quote(key)}"
    return Problem(code="UnknownMatrixKey", message=message, place=place, path=path, hint=hint)


def _axes(matrix: Node) -> dict[str, Node]:
    return {key: field for key, field in matrix.fields.items() if key not in (_EXCLUDE, _INCLUDE)}


def _items(matrix: Node, name: str) -> tuple[Node, ...]:
    field = matrix.fields.get(name)
    return () if field is None else field.items


def _size(node: Node) -> int:
    return 1 + sum(map(_size, node.fields.values())) + sum(map(_size, node.items))


def _problem(code: str, message: str, node: Node, path: Path, *, hint: str | None = None) -> Problem:
    return Problem(code=code, message=message, place=node.place, path=path, hint=hint)
