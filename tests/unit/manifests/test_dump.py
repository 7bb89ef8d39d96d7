"""Rendered YAML is read back as exactly the same values."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.manifests.yaml.dump import as_yaml
from controller.manifests.yaml.loader import load
from tests.thoroughness import scaled

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


def back(text: str) -> list[Any]:
    loaded = load(text.encode())
    assert loaded.problems == ()
    assert [problem for document in loaded.documents for problem in document.problems] == []
    return [document.root.value for document in loaded.documents]


@settings(max_examples=scaled(300))
@given(st.lists(st.dictionaries(TEXT, VALUES, min_size=1, max_size=4), min_size=1, max_size=3))
def test_any_document_is_read_back_unchanged(documents: list[dict[str, Any]]) -> None:
    assert back(as_yaml(documents)) == documents


@pytest.mark.parametrize("text", ["1e3", "0o17", "017", "no", "1:30", "2026-01-01", "~", "", ".5", "=", "<<", "0x1f"])
def test_a_string_remains_a_string(text: str) -> None:
    assert back(as_yaml([{"a": text, text or "b": 1}])) == [{"a": text, text or "b": 1}]


def test_rendered_yaml_is_readable() -> None:
    shared = {"region": "eu"}
    assert as_yaml([{"name": "a", "parameters": shared, "more": shared}, {"name": "b", "tags": ["x"]}]) == (
        "name: a\nparameters:\n  region: eu\nmore:\n  region: eu\n---\nname: b\ntags:\n- x\n"
    )
    assert as_yaml([]) == ""
