"""Plain scalars follow the YAML 1.2 core schema."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.manifests.yaml.scalars import BadNumber, plain_scalar

TABLE = [
    ("", None),
    ("~", None),
    ("null", None),
    ("NULL", None),
    ("nUll", "nUll"),
    ("true", True),
    ("TRUE", True),
    ("False", False),
    ("tRUE", "tRUE"),
    ("yes", "yes"),
    ("no", "no"),
    ("on", "on"),
    ("off", "off"),
    ("y", "y"),
    ("1:30", "1:30"),
    ("190:20:30", "190:20:30"),
    ("017", 17),
    ("0o17", 15),
    ("0o18", "0o18"),
    ("0x1F", 31),
    ("0x_", "0x_"),
    ("-0", 0),
    ("+12", 12),
    ("-0o7", "-0o7"),
    ("1_000", "1_000"),
    ("0b11", "0b11"),
    ("1e3", 1000.0),
    ("1.", 1.0),
    (".5", 0.5),
    ("-1.5E-2", -0.015),
    ("3.10", 3.1),
    (".", "."),
    ("-", "-"),
    ("1e", "1e"),
    ("2026-01-01", "2026-01-01"),
    ("2026-02-30", "2026-02-30"),
    ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
    ("١٢", "١٢"),
    ("nan", "nan"),
    ("inf", "inf"),
    ("<<", "<<"),
    ("=", "="),
    (str(2**53), 2**53),
    (str(-(2**53)), -(2**53)),
    ("0" * 5000 + "7", 7),
]


@pytest.mark.parametrize(("text", "value"), TABLE)
def test_a_plain_scalar_follows_the_core_schema(text: str, value: object) -> None:
    found = plain_scalar(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (".nan", "NotFinite"),
        (".NaN", "NotFinite"),
        (".inf", "NotFinite"),
        ("-.Inf", "NotFinite"),
        ("1e999", "NotFinite"),
        (str(2**53 + 1), "IntegerTooLarge"),
        (str(-(2**53) - 1), "IntegerTooLarge"),
        ("9" * 5000, "IntegerTooLarge"),
        ("0x" + "f" * 5000, "IntegerTooLarge"),
        ("0o" + "7" * 19, "IntegerTooLarge"),
    ],
)
def test_numbers_that_json_cannot_represent_are_errors(text: str, code: str) -> None:
    found = plain_scalar(text)
    assert isinstance(found, BadNumber)
    assert found.code == code
    assert len(found.message) < 120


@settings(deadline=None)
@given(st.text(alphabet="0123456789+-.eExoOaAfFnNiI_~ ") | st.text())
def test_no_string_raises_or_gives_an_infinite_number(text: str) -> None:
    found = plain_scalar(text)
    assert not isinstance(found, float) or math.isfinite(found)
