"""The fast schema check always agrees with the JSON Schema library."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from controller.manifests.fast_schema import Compiler
from controller.manifests.schema_validation import deployment_schema_text
from controller.manifests.yaml.loader import load

SCHEMA: dict[str, Any] = json.loads(deployment_schema_text())
LIBRARY = Draft7Validator(SCHEMA)
ACCEPTS = Compiler(SCHEMA).compile(SCHEMA)

EXAMPLES = Path(__file__).parents[2] / "examples"
DOCUMENTS = [
    document.root.value
    for path in sorted(EXAMPLES.glob("*/*.yaml"))
    for document in load(path.read_bytes()).documents
    if isinstance(document.root.value, dict)
]
KEYS = sorted(
    {
        *SCHEMA["properties"],
        *SCHEMA["definitions"]["schedule"]["properties"],
        "gap",
        "limit",
        "jitter",
        "max",
        "memory",
        "PATH",
        "A b",
        "x",
    }
)
SCALARS = [None, True, 0, -1.5, 3.0, 2**53, "queue", "", "a", "a b", "v1", "flows/x.py:f", "skip", "x" * 201]
LISTS = [[], [""], ["a"], ["a"] * 101, [{"interval": 5}]]
MAPPINGS = [
    {},
    {"cron": "x"},
    {"at": []},
    {"at": "x", "dst": {"gap": "skip"}},
    {"LD_X": "y"},
    {"A": 1},
    {"limit": 3.0, "max": 0},
    {"env": "A"},
]
VALUES: st.SearchStrategy[Any] = st.sampled_from([*SCALARS, *LISTS, *MAPPINGS])


def spots(value: Any) -> list[Any]:
    """Every mapping and list in `value`."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    here = [value] if isinstance(value, dict | list) else []
    return [*here, *(spot for item in inner for spot in spots(item))]


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_both_checks_agree_on_any_document(data: st.DataObject) -> None:
    document = copy.deepcopy(data.draw(st.sampled_from(DOCUMENTS)))
    for _ in range(data.draw(st.integers(0, 3))):
        spot = data.draw(st.sampled_from(spots(document)))
        if isinstance(spot, list):
            spot.append(copy.deepcopy(data.draw(VALUES)))
        elif data.draw(st.booleans()):
            spot.pop(data.draw(st.sampled_from(KEYS)), None)
        else:
            spot[data.draw(st.sampled_from(KEYS))] = copy.deepcopy(data.draw(VALUES))
    assert ACCEPTS(document) == LIBRARY.is_valid(document)


@pytest.mark.parametrize("value", [None, 1, "x", [], {}, True])
def test_both_checks_reject_values_that_are_not_mappings(value: object) -> None:
    assert ACCEPTS(value) is LIBRARY.is_valid(value) is False


def test_a_pattern_does_not_match_a_trailing_line_break() -> None:
    assert not ACCEPTS({"name": "a\n", "flow": "x.py:f"})


def test_an_unsupported_keyword_raises() -> None:
    with pytest.raises(ValueError, match="multipleOf"):
        Compiler({}).compile({"multipleOf": 2})
