"""A type hint is read as the converter sees it at run time, or is not checked at all."""

from typing import Any

import pytest

from controller.flow_analysis import Flow, check, read_module, type_check
from tests.unit.sdk.coercion_table import IMPORTS, TABLES, Table

ANY_VALUES: list[Any] = ["x", {}, []]


def flow_of(hint: str, setup: str) -> Flow:
    flow = read_module(f"{setup}\ndef main(value: {hint}): ...\n".encode()).find("main")
    assert isinstance(flow, Flow)
    return flow


@pytest.mark.parametrize("postponed", ["", "from __future__ import annotations\n"], ids=["plain", "postponed"])
@pytest.mark.parametrize(("setup", "table"), TABLES)
def test_the_static_check_reports_the_values_that_the_table_refuses(setup: str, table: Table, postponed: str) -> None:
    for hint, verdicts in table.items():
        flow = flow_of(hint, postponed + setup)
        for accepted, values in verdicts.items():
            for value in values:
                problems = check(flow, {"value": value})
                assert bool(problems) is (accepted is False), (hint, value)
                assert all(problem.message.isprintable() for problem in problems)
                assert all((problem.hint or "").isprintable() for problem in problems)


SHADOWED = [
    ("class list: ...", "list[int]"),
    ("class int: ...", "int"),
    ("from mine import str", "str"),
    ("def float(): ...", "float"),
    ("int = 5", "int"),
    ("int: type = make()", "int"),
    ("for int in range(3): pass", "int"),
    ("with open('x') as int: pass", "int"),
    ("try:\n    import x\nexcept Exception as int: pass", "int"),
    ("def f():\n    global int\n    int = str", "int"),
    ("(int := str)", "int"),
    ("from x import *", "int"),
    ("exec('int = str')", "int"),
    ("def f():\n    exec(text)\nf()", "int"),
    ("def f():\n    globals()['int'] = str", "int"),
    ("f = lambda: globals().update(int=str)", "int"),
    ("def f(a=locals().update(int=str)): ...", "int"),
    ("@decorate(vars())\ndef f(): ...", "int"),
    ("class C:\n    exec('global int\\nint = str')", "int"),
    ("for name in names:\n    locals()[name] = str", "int"),
    ("match 5:\n    case int: pass", "int"),
    ("from typing import List\nList = make()", "List[int]"),
    ("if x:\n    from typing import List\nelse:\n    from mine import List", "List[int]"),
    ("T = TypeVar('T')", "T"),
]
"""Files in which a name in the hint has another meaning than usual: no value is reported."""

PLAIN = [
    "def f():\n    return locals()",
    "def f(args):\n    print('{a}'.format(**vars()), vars(args))",
    "def f():\n    exec('int = str')",
    "def f(text):\n    exec(text, {'int': str})",
    "async def f():\n    for a in b:\n        if a:\n            vars(a)['int'] = str",
    "class C:\n    def __repr__(self):\n        return str(vars(self))",
    "f = lambda: locals()",
]
"""Files with functions that read or bind their own local names dynamically: hints have their usual meaning."""


@pytest.mark.parametrize(("setup", "hint"), SHADOWED)
def test_a_name_with_another_meaning_is_not_checked(setup: str, hint: str) -> None:
    flow = flow_of(hint, setup)
    assert [check(flow, {"value": value}) for value in ANY_VALUES] == [[]] * 3


@pytest.mark.parametrize("setup", PLAIN)
def test_dynamic_code_inside_a_function_does_not_rebind_names(setup: str) -> None:
    flow = flow_of("int", setup)
    assert (check(flow, {"value": 1}), len(check(flow, {"value": "x"}))) == ([], 1)


UNUSUAL = [
    "class X(Enum):\n    mro = 1",
    "class X(Enum):\n    A = 1\n    A = 2",
    "class X(Enum):\n    _a_ = 1",
    "class X(StrEnum):\n    A = 1",
    "class X(int, Enum):\n    A = 'x'",
    "class X(Enum, int):\n    A = 1",
    "class X(enum.Flag):\n    A = 'x'",
    "class X(Enum):\n    A = make()",
    "@dataclass\nclass X:\n    __init__: int = 1",
    "@dataclass\nclass X:\n    __class__: int",
    "@dataclass\nclass X:\n" + "".join(f"    field{number}: int\n" for number in range(1001)),
    "X = Union[()]",
    "X = Optional[()]",
    "X = Literal[int]",
]


@pytest.mark.parametrize("setup", UNUSUAL)
def test_a_definition_that_python_refuses_or_that_is_not_supported_is_not_checked(setup: str) -> None:
    flow = flow_of("X", f"{IMPORTS}\n{setup}")
    assert [check(flow, {"value": value}) for value in ANY_VALUES] == [[]] * 3


def test_the_names_of_fields_have_no_meaning() -> None:
    fields = ("self", "parse_obj", "mro", "MISSING", "cls", "field")
    body = "".join(f"    {name}: int = None\n" for name in fields)
    flow = flow_of("X", f"{IMPORTS}\n@dataclass\nclass X:\n{body}")
    assert check(flow, {"value": dict.fromkeys(fields, 1)}) == []
    problems = check(flow, {"value": dict.fromkeys(fields, "x")})
    assert [problem.path for problem in problems] == [("value", name) for name in fields]


def test_the_rest_of_a_huge_value_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type_check, "MAX_STEPS", 100)
    problems = check(flow_of("list[set[tuple[int]]]", ""), {"value": [[["x"]], *[[[1]]] * 50]})
    assert [problem.path for problem in problems] == [("value", 0, 0, 0)]
