"""Extract the prose of a file: what a reader of the page, the message or the code reads as sentences."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_FENCE = re.compile(r"^\s*(?:```|~~~)")
_CODE = re.compile(r"`+[^`]*`+")
_HTML = re.compile(r"<(script|style)\b.*?</\1>|<!--.*?-->|{#.*?#}|{%.*?%}|{{.*?}}|<[^>]*>", re.DOTALL)
_WORD = re.compile(r"[A-Za-z]{2,}")
_DIRECTIVE = re.compile(r"#\s*(?:noqa|type:|pragma|!)")


class Prose(NamedTuple):
    """A piece of text and the line where it begins (from 1)."""

    line: int
    text: str


SUFFIXES = frozenset({".py", ".md", ".html", ".svg", ".json", ".yaml", ".js", ".css"})


def extract(path: Path, text: str) -> list[Prose]:
    """Return the prose of one file, by its suffix; code spans become `x`, so that their words are not checked."""
    if path.suffix == ".py":
        return [
            Prose(line, _CODE.sub("x", piece)) for line, piece in _python(text, with_strings="tests" not in path.parts)
        ]
    if path.suffix == ".md":
        return list(_markdown(text))
    if path.suffix in (".html", ".svg"):
        bare = _HTML.sub(lambda tag: re.sub(r"[^\n]+", " ", tag.group()), text)
        return [Prose(number, line.strip()) for number, line in enumerate(bare.splitlines(), 1) if line.strip()]
    if path.suffix == ".json":
        lines = enumerate(text.splitlines(), 1)
        return [Prose(n, found.group(1)) for n, line in lines if (found := re.search(r'"description": "(.*)"', line))]
    if path.suffix in (".yaml", ".js", ".css"):
        return [
            Prose(number, found.group(1))
            for number, line in enumerate(text.splitlines(), 1)
            if (found := re.search(r"(?:#+|//|/?\*+)\s+(.*)", line))
        ]
    return []


def words(pieces: list[Prose]) -> int:
    """Count the words of at least two letters."""
    return sum(len(_WORD.findall(piece.text)) for piece in pieces)


def _markdown(text: str) -> Iterator[Prose]:
    in_code = False
    start, paragraph = 0, list[str]()
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if _FENCE.match(line):
            in_code = not in_code
        block = in_code or not line.strip() or bool(_FENCE.match(line))
        begins = bool(re.match(r"\s*(?:[-*|#>]|\d+\.)\s*", line))
        if (block or begins) and paragraph:
            yield Prose(start, _CODE.sub("x", " ".join(paragraph)))
            paragraph = []
        if not block:
            if not paragraph:
                start = number
            if line.lstrip().startswith("|"):
                yield from (Prose(number, _CODE.sub("x", cell.strip())) for cell in line.split("|") if cell.strip())
            else:
                paragraph.append(re.sub(r"^\s*(?:[-*#>]+|\d+\.)\s*", "", line).strip())


def _python(text: str, *, with_strings: bool) -> Iterator[Prose]:
    strings = dict[int, tuple[int, str]]()
    docstrings = set[int]()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            docstrings.add(id(node.value))
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            strings[id(node)] = (node.lineno, node.value)
    for key, (line, value) in strings.items():
        if key in docstrings:
            yield from (Prose(line + offset, part) for offset, part in _paragraphs(value))
        elif with_strings and " " in value.strip() and len(_WORD.findall(value)) >= 2:
            yield Prose(line, value)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and not _DIRECTIVE.match(token.string):
            yield Prose(token.start[0], token.string.lstrip("#: "))


def _paragraphs(docstring: str) -> Iterator[tuple[int, str]]:
    start, lines = 0, list[str]()
    for number, line in enumerate([*docstring.splitlines(), ""]):
        if line.strip():
            start = start if lines else number
            lines.append(line.strip())
        elif lines:
            yield start, " ".join(lines)
            lines = []
