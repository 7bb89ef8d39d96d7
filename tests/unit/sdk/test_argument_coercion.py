"""Values are converted according to the type hints, or refused."""

import collections
import contextlib
import datetime
import decimal
import functools
import pathlib
import sys
import types
import typing
from typing import Any

import pydantic
import pytest

from controller.sdk.argument_coercion import ParameterError, coerce_call
from controller.sdk.scalar_types import extended_iso
from tests.unit.sdk.coercion_table import CLASSES, TABLES

CASES = [
    pytest.param(setup, hint, value, accepted, id=f"{hint}-{str(value)[:30]}-{accepted}")
    for setup, table in TABLES
    for hint, verdicts in table.items()
    for accepted in (True, False)
    for value in verdicts.get(accepted, [])
]


class Anything:
    """A placeholder for the names that the files of the table use without importing them, such as `DataFrame`."""

    def __init__(self, *_: Any, **__: Any) -> None: ...


@functools.cache
def function_of(hint: str, setup: str, default: str = "") -> Any:
    module = sys.modules["case"] = types.ModuleType("case")
    for name in ("Field", "BeforeValidator", "parse", "DataFrame", "pandas"):
        vars(module)[name] = Anything
    text = f"from __future__ import annotations\n{setup}\ndef main(value: {hint}{default}): return value\n"
    exec(compile(text, "case.py", "exec", dont_inherit=True), vars(module))
    return vars(module)["main"]


def coerced(hint: str, value: Any, setup: str = CLASSES, default: str = "") -> Any:
    return coerce_call(function_of(hint, setup, default), (), {"value": value})[1]["value"]


@pytest.mark.parametrize(("setup", "hint", "value", "accepted"), CASES)
def test_a_value_is_accepted_or_refused_as_the_table_says(setup: str, hint: str, value: Any, accepted: bool) -> None:
    with contextlib.nullcontext() if accepted else pytest.raises(ParameterError, match=r"^parameter value"):
        coerced(hint, value, setup)


def test_hints_that_are_types_are_converted_like_strings() -> None:
    def main(nums: typing.List[int], more: typing.Optional["list[str]"] = None) -> None: ...  # noqa: UP006

    assert coerce_call(main, (["1", 2],), {"more": [5]}) == (([1, 2],), {"more": ["5"]})
    with pytest.raises(
        ParameterError, match=r"^parameter nums: expected list\[int\], got the string \"\[1, 2, 3, 4\]\"$"
    ):
        coerce_call(main, (), {"nums": "[1, 2, 3, 4]"})


def test_the_error_lists_all_mismatches_with_their_paths() -> None:
    with pytest.raises(ParameterError) as caught:
        coerced("dict[str, list[int]]", {"a": [1, "x"], "b c": 5})
    assert str(caught.value).split("; ") == [
        'parameter value.a[1]: expected int, got the string "x"',
        'parameter value["b c"]: expected list[int], got the number 5',
    ]

    def two(a: int, *rest: int, b: bool = True, **more: "list[str]") -> None: ...

    with pytest.raises(ParameterError) as caught:
        coerce_call(two, ("x", "y"), {"b": "maybe", "c": 5})
    assert str(caught.value).split("; ") == [
        'parameter a: expected int, got the string "x"',
        'parameter rest: expected int, got the string "y"',
        'parameter b: expected bool, got the string "maybe"',
        "parameter c: expected list[str], got the number 5",
    ]


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        ("int", "1_000", 1000),
        ("int", True, 1),
        ("int | str", "5", "5"),
        ("int | None", "5", 5),
        ("bool", "off", False),
        ("str", 100, "100"),
        ("bytes", "é", "é".encode()),
        ("date", "2026-01-31T00:00:00", datetime.date(2026, 1, 31)),
        ("dt.datetime", "2026-01-31t10:00:00z", datetime.datetime(2026, 1, 31, 10, tzinfo=datetime.UTC)),
        ("timedelta", "PT1H30M", datetime.timedelta(hours=1.5)),
        ("timedelta", "-01:30", datetime.timedelta(hours=-1.5)),
        ("timedelta", 90, datetime.timedelta(seconds=90)),
        ("Decimal", 1.1, decimal.Decimal("1.1")),
        ("Path", "a/b", pathlib.Path("a/b")),
        ("frozenset[int]", ["1", 1], frozenset([1])),
        ("tuple[int, ...]", ["1", 2], (1, 2)),
        ("Dict[int, str]", {"1": "a"}, {1: "a"}),
        ("t.Deque[int]", ["1"], collections.deque([1])),
        ("Any", {"a": ["1"]}, {"a": ["1"]}),
    ],
)
def test_values_are_converted_to_the_type_of_the_hint(hint: str, value: Any, expected: Any) -> None:
    converted = coerced(hint, value)
    assert converted == expected
    assert type(converted) is type(expected)


@pytest.mark.parametrize("seconds", [-1e14, 1e20, 1e300, float("inf"), float("nan")])
def test_a_number_that_is_not_a_valid_unix_time_is_refused(seconds: float) -> None:
    with pytest.raises(ParameterError, match="parameter value: expected datetime, got"):
        coerced("dt.datetime", seconds)


def test_mappings_become_instances_of_classes_of_the_file() -> None:
    options = coerced("Options", {"days": "1", "limits": ["2"], "parent": {"days": 3}})
    assert (options.days, options.limits, options.parent.days, options.region) == (1, [2], 3, "eu")
    assert coerced("Color", "red").name == coerced("Color", "RED").name == "RED"
    assert coerced("Query", {"table": "a", "limit": "3"}) == {"table": "a", "limit": 3}


def test_a_value_that_matches_its_hint_is_the_same_object() -> None:
    numbers = [1, 2, 3]
    assert coerced("list[int]", numbers) is numbers
    assert coerced("dict[str, list[int]]", {"a": numbers})["a"] is numbers


def test_null_is_accepted_if_it_is_the_default() -> None:
    assert coerced("int", None, default=" = None") is None


def test_arguments_behind_an_unknown_decorator_stay_unchanged() -> None:
    @functools.wraps(function_of("int", CLASSES))
    def wrapper(value: Any) -> None: ...

    assert coerce_call(wrapper, (), {"value": "5"}) == ((), {"value": "5"})
    cached = functools.cache(function_of("int", CLASSES))
    assert coerce_call(cached, (), {"value": "5"}) == ((), {"value": 5})


def test_unknown_arguments_are_left_to_python_to_report() -> None:
    def main(value: int) -> None: ...

    assert coerce_call(main, (), {"valeu": "5"}) == ((), {"valeu": "5"})


def test_every_error_of_pydantic_is_reported_with_its_path() -> None:
    class Order(pydantic.BaseModel):
        number: int
        tags: list[str] = []

    def main(order: Order | None) -> None: ...

    assert coerce_call(main, ({"number": "5"},), {})[0] == (Order(number=5),)
    with pytest.raises(ParameterError) as caught:
        coerce_call(main, ({"number": "x", "tags": 5},), {})
    places = [text.partition(": expected Order: ")[0] for text in str(caught.value).split("; ")]
    assert places == ["parameter order.number", "parameter order.tags"]


def test_number_types_of_libraries_are_converted() -> None:
    class Whole:
        def __index__(self) -> int:
            return 5

        def __float__(self) -> float:
            return 5.0

    assert (coerced("int", Whole()), coerced("float", Whole())) == (5, 5.0)


@pytest.mark.parametrize(
    ("text", "extended"),
    [
        ("2026-01-02", "2026-01-02"),
        ("20260102", "2026-01-02"),
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05+00:00"),
        ("20260102T030405.5+0200", "2026-01-02T03:04:05.500000+02:00"),
        ("2026-01-02 03", "2026-01-02 03:00"),
        ("0304", "03:04"),
        ("03:04:05.1234567", "03:04:05.123456"),
        ("no date", "no date"),
    ],
)
def test_dates_have_a_form_that_every_version_of_python_reads(text: str, extended: str) -> None:
    assert extended_iso(text) == extended
