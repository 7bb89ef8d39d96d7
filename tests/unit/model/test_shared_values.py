"""Equal values of many deployments are in memory once, and unequal ones never replace each other."""

from datetime import timedelta

from controller.model import shared_values
from controller.model.shared_values import share


def test_an_equal_value_of_an_earlier_call_is_returned() -> None:
    first, second = timedelta(hours=5, seconds=17), timedelta(hours=5, seconds=17)
    assert share(first) is share(second) is first


def test_equal_values_of_different_types_are_not_the_same() -> None:
    values = [share(1), share(True), share(1.0)]
    assert [type(value) for value in values] == [int, bool, float]


def test_values_with_one_key_are_the_same_only_if_they_are_equal() -> None:
    first: dict[str, int] = {"a": 1}
    assert share(first, "a test") is share({"a": 1}, "a test") is first
    other = {"a": 2}
    assert share(other, "a test") is other


def test_only_a_limited_number_of_values_of_a_type_is_remembered() -> None:
    for number in range(3 * shared_values.MAX_PER_TYPE):
        share(complex(number, 7))
    assert len(shared_values._KNOWN[complex]) <= shared_values.MAX_PER_TYPE
