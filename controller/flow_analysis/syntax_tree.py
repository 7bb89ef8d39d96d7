"""Bytes of a Python file to a syntax tree, whatever the bytes are. `module`, `classes` and `hint_resolution` call it.

It must raise nothing but `UnreadableError`, and must stay small: a megabyte of `a;` would become a gigabyte of syntax
tree, so what is too much is not parsed: it may well be Python, and nothing is said about it. The limits are those of
docs/format.md.
"""

import ast
import re
import sys
import tokenize
import warnings
from io import BytesIO

from controller.flow_analysis.flow_problems import FlowCode, Problem

MAX_BYTES = 1024 * 1024
MAX_TOKENS = 150_000
"""Of words and operators, in comments and texts too: about 600 KB of ordinary Python."""

_TOKEN = re.compile(r"\w+|[^\w\s]")
_ENCODINGS = frozenset(("utf-8", "utf-8-sig", "ascii", "us-ascii", "iso-8859-1", "iso-8859-15", "cp1252"))
"""What is decoded here. Others can be slow or hungry on purpose (`punycode`), and no flow needs them."""

_PYTHON = f"read as Python {sys.version_info.major}.{sys.version_info.minor}"


class UnreadableError(Exception):
    """The file can't be read; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def read_text(source: bytes) -> str | None:
    """The text of a file; None if it is too large, or in an encoding, to be read here. Raises UnreadableError."""
    if len(source) > MAX_BYTES:
        return None
    try:
        encoding, _ = tokenize.detect_encoding(BytesIO(source).readline)
        if encoding.lower() not in _ENCODINGS:
            return None
        text = source.decode(encoding)
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        raise _unreadable(f"a byte that is not {error.encoding} text", line=line) from error
    except SyntaxError as error:
        raise _unreadable(f"not valid Python: {error.msg}") from error
    if "\0" in text:
        line = text.partition("\0")[0].count("\n") + 1
        raise _unreadable("not valid Python: a file can't contain the character U+0000", line=line)
    if len(text) > MAX_TOKENS and sum(1 for _ in _TOKEN.finditer(text)) > MAX_TOKENS:
        return None
    return text


def read_tree(text: str) -> ast.Module:
    """The syntax tree of a file. Raises UnreadableError."""
    try:
        with warnings.catch_warnings():  # an invalid escape sequence is Python's business, and not on our stderr
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as error:
        raise _unreadable(f"not valid Python: {error.msg}", line=error.lineno or 1, hint=_PYTHON) from error
    except ValueError as error:
        raise _unreadable(f"not valid Python: {error}", hint=_PYTHON) from error
    except (RecursionError, MemoryError) as error:
        raise _unreadable("the file is nested too deeply to be read", hint=_PYTHON) from error


def read_expression(text: str) -> ast.expr | None:
    """The expression in a type hint that is written as a text; None if it is none."""
    if len(text) > 1000:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _unreadable(message: str, *, line: int = 1, hint: str | None = None) -> UnreadableError:
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in message[:200])
    return UnreadableError(Problem(code=FlowCode.FILE_INVALID, message=clean, line=max(line, 1), hint=hint))
