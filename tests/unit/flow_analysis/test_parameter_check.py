"""Parameters that a flow can't be called with are reported with their path, a message and a hint."""

from typing import Any

import pytest

from controller.flow_analysis import Flow, ParameterProblem, check, read_module
from controller.flow_analysis.flow_problems import ParameterCode
from controller.flow_analysis.parameter_check import MAX_PROBLEMS


def flow(source: str, name: str | None = None) -> Flow:
    result = read_module(source.encode()).find(name)
    assert isinstance(result, Flow), result
    return result


def problems(source: str, parameters: dict[str, Any], *, partial: bool = False) -> list[ParameterProblem]:
    return check(flow(source), parameters, partial=partial)


def codes(source: str, parameters: dict[str, Any]) -> list[tuple[str, tuple[str | int, ...]]]:
    return [(problem.code.value, problem.path) for problem in problems(source, parameters)]


def only(source: str, parameters: dict[str, Any]) -> ParameterProblem:
    (problem,) = problems(source, parameters)
    return problem


SEED = "from typing import List\n\ndef calculator(nums: List[int]) -> int:\n    return sum(nums)\n"


def test_a_string_for_a_list_is_refused_with_the_list_to_write() -> None:
    assert only(SEED, {"nums": "[1, 2, 3, 4]"}) == ParameterProblem(
        code=ParameterCode.WRONG_TYPE,
        message='nums: expected list[int], got the string "[1, 2, 3, 4]"',
        path=("nums",),
        hint="write it as a YAML list: [1, 2, 3, 4]",
    )


def test_items_are_coerced_as_in_orion() -> None:
    assert problems(SEED, {"nums": ["1", 2, "3", 4.0]}) == []


@pytest.mark.parametrize(
    ("signature", "parameters", "expected"),
    [
        ("a", {"a": 1}, []),
        ("a", {}, [("MissingParameter", ())]),
        ("a, b=1", {"a": 1}, []),
        ("a, b=1", {"b": 1}, [("MissingParameter", ())]),
        ("a", {"a": 1, "zzz": 1}, [("UnknownParameter", ("zzz",))]),
        ("region", {"regoin": 1}, [("UnknownParameter", ("regoin",))]),
        ("*args", {}, []),
        ("*args", {"args": []}, [("UnknownParameter", ("args",))]),
        ("**kwargs", {"anything": 1}, []),
        ("a, **kwargs", {"anything": 1}, [("MissingParameter", ())]),
        ("**kwargs: int", {"a": 1, "b": "x"}, [("WrongParameterType", ("b",))]),
        ("*, a", {"a": 1}, []),
        ("*, a", {}, [("MissingParameter", ())]),
        ("*, a=1", {}, []),
        ("a, /", {"a": 1}, [("PositionalOnlyParameter", ("a",))]),
        ("a, /", {}, [("PositionalOnlyParameter", ())]),
        ("a=1, /", {}, []),
        ("a=1, /", {"a": 2}, [("PositionalOnlyParameter", ("a",))]),
        ("a=1, /, **rest", {"a": 2}, []),
        ("a, /, **rest", {"a": 2}, [("PositionalOnlyParameter", ("a",))]),
        ("a, /, b, *, c", {}, [("PositionalOnlyParameter", ()), ("MissingParameter", ()), ("MissingParameter", ())]),
        ("a: int = None", {"a": None}, []),
        ("a: int = 5", {"a": None}, [("WrongParameterType", ("a",))]),
        ("a: int = DEFAULT", {"a": None}, []),
        ("a: int", {"a": None}, [("WrongParameterType", ("a",))]),
        ("a", {"a": None}, []),
    ],
)
def test_a_call_by_name_is_checked_against_the_signature(
    signature: str, parameters: dict[str, Any], expected: list[tuple[str, tuple[str | int, ...]]]
) -> None:
    assert codes(f"def main({signature}): ...", parameters) == expected


def test_partial_parameters_may_be_incomplete() -> None:
    assert problems("def main(a, b, *, c): ...", {"a": 1}, partial=True) == []
    assert [problem.code for problem in problems("def main(a, /): ...", {}, partial=True)] == [
        "PositionalOnlyParameter"
    ]


def test_an_unknown_parameter_suggests_the_most_similar_name_and_lists_all() -> None:
    problem = only("def main(region, days=1): ...", {"regoin": "eu"})
    assert problem.message == "main has no parameter regoin"
    assert problem.hint == "did you mean region? main takes region and days"
    assert only("def main(): ...", {"x": 1}).hint == "main takes no parameters"


def test_a_missing_parameter_is_reported_with_its_type() -> None:
    problem = only("def main(region: str, days: int): ...", {"days": 1})
    assert problem.message == "the parameter region (str) is missing"
    assert problem.hint == "main takes region and days"


@pytest.mark.parametrize(
    ("hint", "value", "message", "advice"),
    [
        ("int", "x", 'a: expected int, got the string "x"', None),
        ("int", None, "a: expected int, got null", "write a value"),
        ("int", 1.5, "a: expected int, got the number 1.5", None),
        ("str", True, "a: expected str, got true", 'write it in quotes: "true"'),
        ("str", [], "a: expected str, got a list", None),
        ("bool", "maybe", 'a: expected bool, got the string "maybe"', "write true or false"),
        ("list[str]", "eu", 'a: expected list[str], got the string "eu"', 'write it as a YAML list: ["eu"]'),
        ("list[int]", 5, "a: expected list[int], got the number 5", "write it as a YAML list: [5]"),
        ("list[int]", "1, 2", 'a: expected list[int], got the string "1, 2"', "write it as a YAML list: [1, 2]"),
        ("list[str]", "['a']", "a: expected list[str], got the string \"['a']\"", "write it as a YAML list"),
        ("list[int]", "[" * 500, None, "write it as a YAML list"),
        ("list[int]", {}, "a: expected list[int], got a mapping", None),
        ("dict", '{"a": 1}', 'a: expected dict, got the string "{"a": 1}"', 'write it as a YAML mapping: {"a": 1}'),
        ("dict", "a=1", 'a: expected dict, got the string "a=1"', "write it as a YAML mapping"),
        ("tuple[int, str]", [1], "a: expected tuple[int, str], got a list of length 1", None),
        ("dict[int, int]", {"x": 1}, 'a.x: invalid key: expected int, got the string "x"', None),
        ("dict[str, list[int]]", {"b c": [1, "x"]}, 'a["b c"][1]: expected int, got the string "x"', None),
        ("None | list[int]", ["x"], 'a[0]: expected int, got the string "x"', None),
        ("int | list[int]", "x", 'a: expected int | list[int], got the string "x"', "write it as a YAML list"),
    ],
)
def test_a_wrong_type_is_reported_with_the_value_and_the_expected_type(
    hint: str, value: Any, message: str | None, advice: str | None
) -> None:
    problem = only(f"def main(a: {hint}): ...", {"a": value})
    assert message in (None, problem.message)
    assert problem.hint == advice


@pytest.mark.parametrize(
    "hint", ["int", "float", "str", "bool", "list[int]", "list[str]", "Path", "date", "Literal[1]"]
)
@pytest.mark.parametrize("nested", [False, True])
def test_a_number_too_large_to_be_printed_is_checked(hint: str, nested: bool) -> None:
    huge = 10**5000
    source = (
        f"from datetime import date\nfrom pathlib import Path\nfrom typing import Literal\ndef main(a: {hint}): ..."
    )
    assert len(problems(source, {"a": [huge] if nested else huge})) <= 1


def test_null_for_a_parameter_with_a_default_suggests_to_remove_it() -> None:
    assert only("def main(a: int = 1): ...", {"a": None}).hint == "remove it to use the default"


CLASSES = """
from dataclasses import dataclass
from enum import Enum
from typing import Literal

class Color(Enum):
    RED = "red"
    BLUE = 2

@dataclass
class Options:
    color: Color
    days: int = 1
"""


@pytest.mark.parametrize(
    ("hint", "value", "path", "message", "advice"),
    [
        ("Color", "green", (), 'a: expected Color, got the string "green"', 'write "red" or 2'),
        ("Literal['x', 1]", "y", (), "a: expected Literal['x', 1], got the string \"y\"", 'write "x" or 1'),
        ("Options", {}, (), "a: Options requires the field color", None),
        ("Options | None", {}, (), "a: Options requires the field color", None),
        (
            "list[Options]",
            [{"color": "red", "dyas": 1}],
            (0, "dyas"),
            "a[0].dyas: Options has no field dyas",
            "did you mean days? Options takes color and days",
        ),
        ("Options", {"color": 3}, ("color",), "a.color: expected Color, got the number 3", 'write "red" or 2'),
    ],
)
def test_values_of_classes_of_the_file_are_checked(
    hint: str, value: Any, path: tuple[str | int, ...], message: str, advice: str | None
) -> None:
    problem = only(f"{CLASSES}\ndef main(a: {hint}): ...", {"a": value})
    assert (problem.path, problem.message, problem.hint) == (("a", *path), message, advice)


def test_at_most_ten_invalid_items_are_reported() -> None:
    source = "def main(a: list[int]): ..."
    assert [problem.path for problem in problems(source, {"a": ["x", 1, "y"]})] == [("a", 0), ("a", 2)]
    assert len(problems(source, {"a": ["x"] * 1000})) == 10


def test_the_number_of_problems_is_limited() -> None:
    parameters = {f"parameter_number_{number}": 1 for number in range(5_000)}
    assert len(problems("def main(parameter_numbers): ...", parameters)) == MAX_PROBLEMS


def test_messages_with_hostile_names_are_short_and_printable() -> None:
    parameters = {"x" * 5000: 1, "\ud800\n\x1b[31m": 1, "a": "\x07" * 500}
    reported = problems("def main(a: int, b): ...", parameters)
    assert len(reported) == 4
    assert all(problem.message.isprintable() and len(problem.message) < 200 for problem in reported)


def test_a_flow_that_does_not_validate_is_checked_for_names_only() -> None:
    source = "from prefect import flow\n@flow(validate_parameters=False)\ndef main(a: int): ...\n"
    assert codes(source, {"a": "x"}) == []
    assert codes(source, {"b": "x"}) == [("UnknownParameter", ("b",)), ("MissingParameter", ())]


def test_an_unknown_signature_is_not_checked() -> None:
    assert problems("@wrap\ndef main(a: int): ...", {"b": object()}) == []


def test_values_that_are_not_json_are_not_checked() -> None:
    assert problems("def main(a: int, b: list[int]): ...", {"a": object(), "b": [b"x"]}) == []
