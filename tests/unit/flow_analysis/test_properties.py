"""Properties of the check for any hint and value: no exception, no false problem, and a valid path for each problem."""

import sys
import types
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.flow_analysis import Flow, check, read_module
from controller.flow_analysis.type_check import check_type
from controller.sdk.argument_coercion import ParameterError, coerce_call
from tests.thoroughness import scaled

SETUP = """
import typing as t
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

class Color(Enum):
    RED = "red"
    BLUE = 2

@dataclass
class Options:
    days: int
    region: str | None = None

class Query(t.TypedDict):
    table: str
"""

Pair = tuple[str, st.SearchStrategy[Any]]

WORDS = st.text(max_size=5)
LEAVES: list[Pair] = [
    ("int", st.integers()),
    ("float", st.floats() | st.integers()),
    ("str", WORDS),
    ("bool", st.booleans()),
    ("None", st.none()),
    ("object", st.none() | WORDS),
    ("t.Any", st.lists(st.integers(), max_size=2)),
    ("t.Literal['a', 1, None]", st.sampled_from(["a", 1, None])),
    ("Color", st.sampled_from(["red", 2])),
    ("Options", st.fixed_dictionaries({"days": st.integers()}, optional={"region": st.none() | WORDS})),
    ("Query", st.fixed_dictionaries({"table": WORDS}, optional={"other": st.integers()})),
    ("unknown.Type", st.none() | st.integers()),
    ("'int'", st.integers()),
]


HASHABLE = [pair for pair in LEAVES if pair[0] not in ("t.Any", "Options", "Query")]


def listed(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(values, max_size=3)


def larger(hints: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    names = st.sampled_from(["list", "t.List", "Sequence", "Iterable", "t.Collection"])
    mappings = st.sampled_from(["dict", "t.Dict", "Mapping", "t.MutableMapping"])

    def collection(name: str, pair: Pair) -> Pair:
        return f"{name}[{pair[0]}]", listed(pair[1])

    def mapping(name: str, pair: Pair) -> Pair:
        return f"{name}[str, {pair[0]}]", st.dictionaries(WORDS, pair[1], max_size=3)

    def union(pairs: list[Pair]) -> Pair:
        return f"t.Union[{', '.join(hint for hint, _ in pairs)}]", st.one_of([values for _, values in pairs])

    def row(pairs: list[Pair]) -> Pair:
        return f"tuple[{', '.join(hint for hint, _ in pairs)}]", st.tuples(*(values for _, values in pairs)).map(list)

    several = st.lists(hints, min_size=1, max_size=3)
    return st.one_of(
        st.builds(collection, names, hints),
        st.builds(collection, st.sampled_from(["set", "frozenset", "t.MutableSet"]), st.sampled_from(HASHABLE)),
        st.builds(mapping, mappings, hints),
        several.map(union),
        several.map(row),
        hints.map(lambda pair: (f"t.Optional[{pair[0]}]", st.none() | pair[1])),
        hints.map(lambda pair: (f"tuple[{pair[0]}, ...]", listed(pair[1]))),
        hints.map(lambda pair: (f"t.Annotated[{pair[0]}, 'note']", pair[1])),
    )


HINTS = st.recursive(st.sampled_from(LEAVES), larger, max_leaves=6)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["[1]", '{"a": 1}']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def flow_of(hint: str, setup: str = SETUP) -> Flow:
    flow = read_module(f"{setup}\ndef main(value: {hint}): ...\n".encode()).find("main")
    assert isinstance(flow, Flow)
    return flow


@given(st.data(), HINTS)
def test_a_value_that_conforms_to_its_hint_is_accepted(data: st.DataObject, pair: Pair) -> None:
    hint, values = pair
    assert check(flow_of(hint), {"value": data.draw(values)}) == []


@settings(max_examples=scaled(300))
@given(HINTS, JSON)
def test_any_value_for_any_hint_is_checked_without_an_exception(pair: Pair, value: Any) -> None:
    for problem in check(flow_of(pair[0]), {"value": value}):
        assert problem.path[0] == "value"
        assert problem.message.isprintable()
        place = value
        for step in problem.path[1:]:
            place = place[step]


@settings(max_examples=scaled(300))
@given(HINTS, JSON)
def test_nothing_is_reported_if_every_name_may_be_rebound(pair: Pair, value: Any) -> None:
    assert check(flow_of(pair[0].replace("None", "Nothing"), "from somewhere import *"), {"value": value}) == []


@given(st.dictionaries(st.text(max_size=6), JSON, max_size=4), st.booleans())
def test_any_parameters_are_checked_without_an_exception(parameters: dict[str, Any], partial: bool) -> None:
    flow = flow_of("int, b, /, c: str = 'x', *args, d, **rest: list[int]")
    for problem in check(flow, parameters, partial=partial):
        assert problem.message.isprintable()


@settings(max_examples=scaled(300))
@given(HINTS, JSON)
def test_the_static_check_agrees_with_the_conversion_at_run_time(pair: Pair, value: Any) -> None:
    module = sys.modules["properties"] = types.ModuleType("properties")
    text = f"from __future__ import annotations\n{SETUP}\ndef main(value: {pair[0]}): ..."
    vars(module)["unknown"] = types.SimpleNamespace(Type=types.SimpleNamespace)
    exec(compile(text, "properties.py", "exec"), vars(module))
    parameters = flow_of(pair[0]).parameters
    assert parameters is not None
    if check_type(parameters[0].hint, value):
        with pytest.raises(ParameterError):
            coerce_call(module.main, (), {"value": value})
    elif "unknown" not in pair[0]:
        coerce_call(module.main, (), {"value": value})
