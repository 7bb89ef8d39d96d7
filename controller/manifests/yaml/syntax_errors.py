"""Explains the parser's YAML syntax errors to the author of the file, with a hint for common mistakes.

`loader` calls it with the parser's error and the text. It never raises, and never quotes more than one line.
"""

import re

import yaml

from controller.manifests.yaml.nodes import Position, Problem
from controller.text import shorten

_RESERVED = re.compile(r"(?P<key>[\w-]+:[ \t]+|-[ \t]+)(?P<value>[*&@`%!|>].*?)\s*$")
_BRACKETS = re.compile(r"[\[\]{}]")
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'[^']*'|(?:^|\s)#.*")
_TAB = re.compile(r"[ ]*\t")


def explain(error: yaml.YAMLError, text: str) -> Problem:
    """Return the one problem of a file that could not be parsed."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return Problem(code="InvalidYaml", message="not valid YAML", place=Position(1, 1))
    start, end = _place(error.context_mark), _place(error.problem_mark)
    place = end or start or Position(1, 1)
    line = _line(text, place.line)
    reason = error.problem or ""
    if _TAB.match(line) and "cannot start any token" in reason:
        column = line.index("\t") + 1
        return _problem(Position(place.line, column), "a tab in the indentation", "indent with spaces")
    if trap := _reserved_indicator(line, place):
        return trap
    if "unexpected end of stream" in reason and "quoted scalar" in (error.context or ""):
        return _problem(start or place, "this quote is never closed", "close it with the same quotation mark")
    if "mapping values are not allowed" in reason:
        return _problem(
            place,
            "a second `: ` in one value, or a line indented too far",
            "put values that contain `: ` in quotes, and indent all keys of a mapping equally",
        )
    if "while parsing a flow" in (error.context or ""):
        return _collection(text, place, reason)
    context = f"{error.context}, " if error.context else ""
    return _problem(place, f"{context}{reason}", "check the indentation and punctuation at this position and above")


def _collection(text: str, place: Position, reason: str) -> Problem:
    """Return the problem of a list or mapping in brackets that the parser can't continue at `place`."""
    opened = _innermost(text, place)
    kind, close = ("list [ ]", "]") if opened and opened[0] == "[" else ("mapping { }", "}")
    begin = opened[1] if opened else place.line
    rest = _line(text, place.line)[place.column - 1 :]
    value = re.match(r"[^\s,\]}]*", rest)
    if "node content" in reason and value and value[0]:
        where = f"in the {kind} that starts on line {begin}"
        return _problem(
            place,
            f"a value {where} can't begin with {value[0][0]}",
            f'write it in quotes: "{shorten(value[0].rstrip(":") or value[0])}"',
        )
    hint = f"close it with {close}"
    if rest.startswith(":"):
        hint = "put a value that contains `: ` in quotes"
    elif rest and rest[0] not in "]}":
        hint = "separate items with commas, and put quotes around the whole value"
    return _problem(place, f"the {kind} that starts on line {begin} is not finished here", hint)


def _innermost(text: str, place: Position) -> tuple[str, int] | None:
    """Return the innermost bracket that is open at `place`, and its line. Ignores brackets in quotes and comments."""
    lines = text.split("\n", place.line)[: place.line]
    lines[-1] = lines[-1][: place.column - 1]
    opened: list[tuple[str, int]] = []
    for number, line in enumerate(lines, start=1):
        for sign in _BRACKETS.findall(_QUOTED.sub("", line)):
            if sign in "[{":
                opened.append((sign, number))
            elif opened:
                opened.pop()
    return opened[-1] if opened else None


def _reserved_indicator(line: str, place: Position) -> Problem | None:
    """Return the problem of a value at `place` that starts with a YAML indicator (`*/5 * * * *`, `@daily`), if any."""
    for match in _RESERVED.finditer(line):
        value, column = match["value"], match.start("value") + 1
        if column <= place.column <= column + len(value):
            quoted = shorten(value.split(" #")[0].rstrip(" ]},"), 60).replace('"', '\\"')
            return _problem(
                Position(place.line, column),
                f"a value that begins with {value[0]} must be in quotes",
                f'write {match["key"].strip()} "{quoted}"',
            )
    return None


def _problem(place: Position, reason: str, hint: str | None) -> Problem:
    return Problem(code="InvalidYaml", message=f"not valid YAML: {reason}", place=place, hint=hint)


def _place(mark: object) -> Position | None:
    line, column = getattr(mark, "line", None), getattr(mark, "column", None)
    return Position(line + 1, column + 1) if isinstance(line, int) and isinstance(column, int) else None


def _line(text: str, number: int) -> str:
    lines = text.split("\n", number)
    return lines[number - 1].rstrip("\r") if number <= len(lines) else ""
