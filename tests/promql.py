"""The series and labels that PromQL expressions use: enough of the language for our rules and dashboards."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[A-Za-z_:][\w:]*|[{}()\[\],]|[=!]~|[=!]=|[<>]=?|=|[^\s\w]|[\d.]+[a-z]*|\$\w+')
_KEYWORDS = {"by", "on", "without", "ignoring", "unless", "and", "or", "offset", "bool", "group_left", "group_right"}
_GROUPING = {"by", "on", "without", "ignoring"}


@dataclass(frozen=True)
class Matcher:
    """One condition on a label."""

    label: str
    operator: str
    value: str


@dataclass(frozen=True)
class Use:
    """A series that an expression reads, and the conditions on its labels."""

    series: str
    matchers: tuple[Matcher, ...]


def series_used(expression: str) -> Iterator[Use]:
    """Yield the series of an expression in order."""
    tokens = _TOKEN.findall(expression)
    place = 0
    while place < len(tokens):
        token, following = tokens[place], tokens[place + 1] if place + 1 < len(tokens) else ""
        place += 1
        if token in _GROUPING:
            place = tokens.index(")", place) + 1
        elif token == "[":
            place = tokens.index("]", place) + 1
        elif re.fullmatch(r"[A-Za-z_:][\w:]*", token) and token not in _KEYWORDS and following != "(":
            if following in _GROUPING:
                continue  # an aggregation
            matchers: list[Matcher] = []
            if following == "{":
                end = tokens.index("}", place)
                matchers = list(_matchers(tokens[place + 1 : end]))
                place = end + 1
            yield Use(token, tuple(matchers))


def grouping_labels(expression: str) -> set[str]:
    """Return the labels in `by`, `on`, `without` and `ignoring`."""
    lists = re.findall(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)", expression)
    return {label.strip() for text in lists for label in text.split(",") if label.strip()}


def template_labels(text: str) -> set[str]:
    """Return the labels in the templates of annotations (`{{ $labels.x }}`) and legends (`{{x}}`)."""
    return set(re.findall(r"\{\{\s*(?:\$labels\.)?([a-z_]+)\s*\}\}", text))


def _matchers(tokens: list[str]) -> Iterator[Matcher]:
    while tokens:
        label, operator, value, *tokens = tokens
        tokens = tokens[1:]  # the comma
        yield Matcher(label, operator, value.strip('"'))
