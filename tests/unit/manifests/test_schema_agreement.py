"""The quick check of a document and the validator that explains its faults agree, because only the second is shown."""

import copy
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.manifests.schema_validation import PROJECT, accepts, schema_text, validator
from controller.manifests.yaml.loader import load
from tests.thoroughness import scaled

EXAMPLES = Path(__file__).parents[2] / "examples"
DOCUMENTS = [
    document.root.value
    for path in sorted(EXAMPLES.glob("*/*.yaml"))
    for document in load(path.read_bytes()).documents
    if isinstance(document.root.value, dict)
]
PROJECTS = [
    {"project": "a", "defaults": {"timeout": "1h"}, "queues": {"a": {"limit": 1}}},
    {"defaults": {"schedule": {"cron": "@daily"}, "env": {"A": "b"}}, "queues": {"a": {"limit": 2.0}}},
]
PROPERTIES: dict[str, Any] = json.loads(schema_text())["properties"]
KEYS = [*PROPERTIES, "cron", "interval", "at", "dst", "gap", "limit", "jitter", "max", "memory", "backoff", "file"]
KEYS += ["queues", "defaults", "PATH", "x", "A b", ""]
NUMBERS = [True, 0, -1.5, 3.0, -0.0, 1000, 1000.0, 1000.0000000000001, 2**53, 2**63, 2**64, -(2**63), 2**70, 10**400]
STRINGS = ["queue", "", "a", "a b", "a\n", "v1", "skip", "flows/x.py:f", "f.py:m\n", "f\u2028.py:m"]
PATHS = ["/a", "/a\nb", "/a\u2028b", "/a/", "/a\n"]
SIZES = ["x" * 200, "x" * 201, "\U0001f600" * 200, "\U0001f600" * 201, "e\u0301" * 100]
LISTS = [[], [""], ["a"], ["a"] * 100, ["a"] * 101, [{"interval": 5}]]
MAPPINGS = [
    {},
    {"cron": "x"},
    {"at": []},
    {"at": "x", "dst": {"gap": "skip"}},
    {"LD_X": "y"},
    {"LD_\n": "y"},
    {"A": 1},
    {"A": {"env": "B"}},
    {"A": {"env": "B", "file": "/a"}},
    {"limit": 3.0, "max": 0},
]
SECRETS = [{"A": {"file": path}} for path in PATHS]
PLAIN: list[Any] = [None, *NUMBERS, *STRINGS, *PATHS, *SIZES, *LISTS, *MAPPINGS, *SECRETS]
NOT_JSON = [float("nan"), float("inf"), float("-inf"), "\ud800", "\ud800.py:m", date(2026, 1, 1), b"a", {1: "a"}, {"a"}]


def spots(value: Any) -> list[Any]:
    """Every mapping and list in `value`."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    here = [value] if isinstance(value, dict | list) else []
    return [*here, *(spot for item in inner for spot in spots(item))]


@st.composite
def mutated(draw: st.DrawFn, documents: list[Any], values: list[Any]) -> Any:
    """One of `documents` with up to three keys or items added, replaced or removed."""
    document = copy.deepcopy(draw(st.sampled_from(documents)))
    for _ in range(draw(st.integers(0, 3))):
        spot = draw(st.sampled_from(spots(document)))
        if isinstance(spot, list):
            spot.append(copy.deepcopy(draw(st.sampled_from(values))))
        elif draw(st.booleans()):
            spot.pop(draw(st.sampled_from([*KEYS, *spot])), None)
        else:
            spot[draw(st.sampled_from([*KEYS, *spot]))] = copy.deepcopy(draw(st.sampled_from(values)))
    return document


@settings(max_examples=scaled(600), deadline=None)
@given(mutated(DOCUMENTS, PLAIN))
def test_both_validators_agree_on_any_deployment(document: Any) -> None:
    assert accepts(document) == validator().is_valid(document)


@settings(max_examples=scaled(200), deadline=None)
@given(mutated(PROJECTS, PLAIN))
def test_both_validators_agree_on_any_project_file(document: Any) -> None:
    assert accepts(document, PROJECT) == validator(PROJECT).is_valid(document)


@settings(max_examples=scaled(200), deadline=None)
@given(mutated(DOCUMENTS, NOT_JSON))
def test_a_value_that_json_does_not_have_is_never_accepted_wrongly(document: Any) -> None:
    assert not accepts(document) or validator().is_valid(document)


@pytest.mark.parametrize("value", [None, 1, "x", [], {}, True])
def test_both_validators_reject_values_that_are_not_mappings(value: object) -> None:
    assert accepts(value) is validator().is_valid(value) is False


@pytest.mark.parametrize("which", ["deployment", "project"])
def test_no_schema_uses_a_format_which_the_validators_may_check_differently(which: str) -> None:
    assert '"format"' not in schema_text(which)
