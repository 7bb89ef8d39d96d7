"""No broken or hostile file raises, hangs or uses much memory; problems are reported with their line."""

import time
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.flow_analysis import Flow, Problem, check, read_module
from controller.flow_analysis.syntax_tree import MAX_BYTES, MAX_TOKENS

HOSTILE = {
    "unary": "-" * 100_000 + "1",
    "sum": "1" + "+1" * 50_000,
    "attributes": "a" + ".b" * 60_000,
    "lambda": "lambda:" * 50_000 + "1",
    "parentheses": "(" * 5_000,
    "brackets": "[" * 200_000,
    "elif": "if a:\n pass\n" + "elif a:\n pass\n" * 20_000,
    "condition": "a if b else " * 30_000 + "c",
    "power": "a**" * 50_000 + "a",
    "calls": "main = a" + "()" * 50_000,
    "indentation": "".join(" " * level + "if a:\n" for level in range(200)) + " " * 200 + "pass",
    "statements": "a;" * (MAX_BYTES // 2),
    "lines": "a\n" * (MAX_BYTES // 2),
}


def found_in(source: bytes) -> Flow | Problem:
    module = read_module(source)
    module.find("main")
    return module.find(None)


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused_or_not_parsed(source: str) -> None:
    begin = time.process_time()
    result = found_in(source.encode())
    assert result.code == "FlowFileInvalid" if isinstance(result, Problem) else result.parameters is None
    assert time.process_time() - begin < 5


@pytest.mark.parametrize("rest", ["#" * MAX_BYTES, "x = [" + "1, " * MAX_TOKENS + "]"], ids=["bytes", "words"])
def test_nothing_is_reported_for_a_file_that_is_too_large_to_parse(rest: str) -> None:
    module = read_module(f"def main(a: int): ...\n{rest}\n".encode())
    for name in ("main", "other", None):
        result = module.find(name)
        assert isinstance(result, Flow)
        assert check(result, {"b": "x"}) == []


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        (b"def main(:\n", 1, "not valid Python: invalid syntax"),
        (b"x = 1\ny = (\n", 2, "not valid Python: '(' was never closed"),
        (b"x = 1\n\ny = \0\n", 3, "not valid Python: a file can't contain the character U+0000"),
        (b"x = 1\ny = '\xff'\n", 2, "not valid utf-8 text"),
        (b"# coding: nonsense\n", 1, "not valid Python: unknown encoding: nonsense"),
    ],
)
def test_invalid_python_is_reported_with_its_line(source: bytes, line: int, message: str) -> None:
    result = found_in(source)
    assert isinstance(result, Problem)
    assert (result.code, result.line) == ("FlowFileInvalid", line)
    assert result.message.startswith(message)


@pytest.mark.parametrize(
    "source",
    [
        b"\xef\xbb\xbfdef main(a): ...",
        b"# -*- coding: latin-1 -*-\nx = '\xe4'\ndef main(a): ...",
        b"x = 1\r\ndef main(a): ...\r\n",
        "ä = 'ö'\ndef main(a): ...".encode(),
    ],
)
def test_the_usual_encodings_are_supported(source: bytes) -> None:
    result = found_in(source)
    assert isinstance(result, Flow)
    assert result.parameters is not None


def test_an_invalid_escape_sequence_causes_no_warning() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert isinstance(found_in(b"x = '\\d'\ndef main(a: '\\d'): ..."), Flow)
    assert caught == []


def test_a_long_chain_of_conditions_is_followed() -> None:
    source = "if a:\n pass\n" + "elif a:\n pass\n" * 1_000 + "else:\n def main(): ...\n"
    assert isinstance(found_in(source.encode()), Flow)


EXPANDING = {
    "aliases": "X0 = int\n" + "".join(f"X{n} = dict[X{n - 1}, X{n - 1}]\n" for n in range(1, 40)) + "X = X39",
    "unions": "X0 = int\n" + "".join(f"X{n} = X{n - 1} | X{n - 1}\n" for n in range(1, 40)) + "X = X39",
    "dataclasses": "from dataclasses import dataclass\n@dataclass\nclass C0:\n    a: int\n"
    + "".join(f"@dataclass\nclass C{n}:\n    a: C{n - 1}\n    b: C{n - 1}\n" for n in range(1, 40))
    + "X = C39",
    "bases": "from dataclasses import dataclass\n"
    + "".join(f"@dataclass\nclass C{n}({', '.join([f'C{n + 1}'] * 50)}):\n    a: int\n" for n in range(40))
    + "X = C0",
    "itself": "from dataclasses import dataclass\n@dataclass\nclass X(X):\n    x: 'X'\n",
    "wide": "from typing import Literal\nY = Literal[" + "1, " * 50_000 + "]\nX = dict[" + "Y, " * 400 + "]\n",
    "members": "from enum import Enum\nclass Y(Enum):\n"
    + "".join(f"    A{n} = {n}\n" for n in range(9_000))
    + "X = list[Y]",
    "deep": "X = " + "list[" * 80 + "int" + "]" * 80,
    "quoted": "X = '" + "list[" * 150 + "int" + "]" * 150 + "'",
    "stars": "X = int\n" + "from x import *\na = b\n" * 15_000,
    "chain": "".join(f"X{n} = X{n + 1}\n" for n in range(5_000)) + "X = X0",
}


@pytest.mark.parametrize("source", EXPANDING.values(), ids=EXPANDING)
def test_the_size_of_hints_is_limited(source: str) -> None:
    begin = time.process_time()
    result = found_in(f"{source}\ndef main(x: X, *more: X, **rest: X): ...\n".encode())
    assert isinstance(result, Flow)
    nested: object = 1
    for _ in range(300):
        nested = [nested]
    check(result, {"x": nested, "y": {"a": 1}, "z": [[1, "x"]] * 100})
    assert time.process_time() - begin < 5


@given(st.binary(max_size=300))
def test_arbitrary_bytes_do_not_raise(source: bytes) -> None:
    found_in(source)


WORDS = [
    "def main(a",
    ": int",
    ")",
    ": ...",
    "\n",
    "    ",
    "class ",
    "X",
    " = ",
    "@flow",
    "(",
    "]",
    "[",
    "list",
    "import ",
    "from ",
]
WORDS += [
    "if ",
    "else:",
    "try:",
    "except",
    "with ",
    "match ",
    "case ",
    "lambda ",
    ":=",
    "global ",
    "del ",
    "*",
    "'",
    '"""',
    "|",
    "\\",
]


@given(st.lists(st.sampled_from(WORDS), max_size=40).map("".join))
def test_broken_python_does_not_raise(source: str) -> None:
    found_in(source.encode())
