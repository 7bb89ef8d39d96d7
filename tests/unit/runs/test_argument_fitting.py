"""Arguments that fit their hints, and those that the coercion must look at."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import pytest

from controller.runs.executors.local.supervisor.argument_fitting import all_fit
from controller.sdk.argument_coercion import coerce_call


def scalars(a: str, b: int = 1, *, c: float | None = None, d: bool = False, e: None = None) -> None: ...
def collections(a: list[str] | None, b: dict[str, int], c: list[list[int]]) -> None: ...
def others(a: Literal["x"], b: "str", c: Sequence[str], d: tuple[int, ...], e: list, f: Any) -> None: ...  # type: ignore[type-arg]
def unnamed(*args: int, **options: int) -> None: ...
def unhinted(a, b=1): ...  # type: ignore[no-untyped-def]


class Text(str):
    """A string of another type."""

    __slots__ = ()


FIT: list[tuple[Callable[..., None], dict[str, Any]]] = [
    (scalars, {"a": "x", "b": 2, "c": 1.5, "d": True, "e": None}),
    (scalars, {"a": "", "c": None}),
    (collections, {"a": ["x"], "b": {"k": 1}, "c": [[1], []]}),
    (collections, {"a": None, "b": {}, "c": []}),
    (unhinted, {"a": object(), "b": [1]}),
    (unnamed, {}),
]
UNDECIDED: list[tuple[Callable[..., None], dict[str, Any]]] = [
    (scalars, {"b": True}),
    (scalars, {"b": "1"}),
    (scalars, {"c": 1}),
    (scalars, {"a": Text("x")}),
    (scalars, {"z": 1}),
    (collections, {"a": [1]}),
    (collections, {"a": ("x",)}),
    (collections, {"b": {1: 1}}),
    (collections, {"c": [["1"]]}),
    (others, {"a": "x"}),
    (others, {"b": "x"}),
    (others, {"c": ["x"]}),
    (others, {"d": (1,)}),
    (others, {"e": []}),
    (others, {"f": 1}),
    (unnamed, {"x": 1}),
    (unnamed, {"options": 1}),
]


@pytest.mark.parametrize(("function", "arguments"), FIT)
def test_arguments_that_fit_are_not_converted(function: Callable[..., None], arguments: dict[str, Any]) -> None:
    assert all_fit(function, arguments)
    assert coerce_call(function, (), arguments) == ((), arguments)


@pytest.mark.parametrize(("function", "arguments"), UNDECIDED)
def test_the_coercion_decides_about_all_other_arguments(
    function: Callable[..., None], arguments: dict[str, Any]
) -> None:
    assert not all_fit(function, arguments)
