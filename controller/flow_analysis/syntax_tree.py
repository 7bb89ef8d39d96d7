"""Parses the bytes of a Python file to a syntax tree. Called by `module`, `classes` and `hint_resolution`.

Invalid bytes raise only `UnreadableError`. A file beyond the limits of docs/format.md is not parsed, because a megabyte
of `a;` would become a gigabyte of syntax tree; as it may be valid Python, no problem is reported.
"""

import ast
import re
import sys
import tokenize
import warnings
from io import BytesIO

from controller.flow_analysis.flow_problems import FlowCode, Problem
from controller.text import replace_unprintable

MAX_BYTES = 1024 * 1024
MAX_TOKENS = 150_000
"""Words and operators, including those in comments and strings: about 600 KB of ordinary Python."""

_TOKEN = re.compile(r"\w+|[^\w\s]")
_ENCODINGS = frozenset(("utf-8", "utf-8-sig", "ascii", "us-ascii", "iso-8859-1", "iso-8859-15", "cp1252"))
"""The supported encodings. Others, such as `punycode`, can be abused to use much time or memory."""

_PYTHON = f"parsed as Python {sys.version_info.major}.{sys.version_info.minor}"


class UnreadableError(Exception):
    """The file cannot be parsed; `problem` has the reason."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def read_text(source: bytes) -> str | None:
    """Return the text of a file; None if it is too large or in an unsupported encoding. Raises UnreadableError."""
    if len(source) > MAX_BYTES:
        return None
    try:
        encoding, _ = tokenize.detect_encoding(BytesIO(source).readline)
        if encoding.lower() not in _ENCODINGS:
            return None
        text = source.decode(encoding)
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        raise _unreadable(f"not valid {error.encoding} text", line=line) from error
    except SyntaxError as error:
        raise _unreadable(f"not valid Python: {error.msg}") from error
    if "\0" in text:
        line = text.partition("\0")[0].count("\n") + 1
        raise _unreadable("not valid Python: a file can't contain the character U+0000", line=line)
    if len(text) > MAX_TOKENS and sum(1 for _ in _TOKEN.finditer(text)) > MAX_TOKENS:
        return None
    return text


def read_tree(text: str) -> ast.Module:
    """Return the syntax tree of a file. Raises UnreadableError."""
    try:
        with warnings.catch_warnings():  # do not print Python's warnings about the user's code
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as error:
        raise _unreadable(f"not valid Python: {error.msg}", line=error.lineno or 1, hint=_PYTHON) from error
    except ValueError as error:
        raise _unreadable(f"not valid Python: {error}", hint=_PYTHON) from error
    except (RecursionError, MemoryError) as error:
        raise _unreadable("the file is nested too deeply to be parsed", hint=_PYTHON) from error


def read_expression(text: str) -> ast.expr | None:
    """Return the expression in a type hint that is a string; None if it is not a valid expression."""
    if len(text) > 1000:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _unreadable(message: str, *, line: int = 1, hint: str | None = None) -> UnreadableError:
    clean = replace_unprintable(message[:200])
    return UnreadableError(Problem(code=FlowCode.FILE_INVALID, message=clean, line=max(line, 1), hint=hint))
