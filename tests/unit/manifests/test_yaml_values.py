"""Files are read without positions exactly as with them, or not at all if anything about them is unusual."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.manifests.yaml.builder import MAX_DEPTH
from controller.manifests.yaml.loader import Loaded, load, load_values
from controller.manifests.yaml.nodes import Node
from controller.manifests.yaml.value_nodes import NOWHERE
from controller.manifests.yaml.values import MAX_BYTES
from tests.unit.manifests.test_yaml_loader import fragments, problems

TEXT = """\
name: a
flow: "flows/a.py:main"
tags: [x, 1.5, null, ~, "2"]
schedules:
  - cron: "0 4 * * *"
    parameters: {days: 1, nested: [{deep: [true]}]}
description: >-
  folded
  text
"""


def values(loaded: Loaded | None) -> list[Any]:
    assert loaded is not None
    return [document.root.value for document in loaded.documents]


def walk(node: Node, other: Node) -> None:
    """Check that two nodes differ only in their positions, and in the texts of scalars."""
    assert node.value == other.value
    assert type(node.value) is type(other.value)
    assert node.place == NOWHERE
    assert list(node.fields) == list(other.fields)
    assert dict(node.keys) == dict.fromkeys(other.keys, NOWHERE)
    assert len(node.items) == len(other.items)
    for name, field in other.fields.items():
        assert node.fields[name] is node.fields[name]
        walk(node.fields[name], field)
        assert node.at((name, "missing")).value == field.at(("missing",)).value
        assert (child := node.child(name)) is not None
        assert child.value == field.value
    for index, item in enumerate(other.items):
        walk(node.items[index], item)
        assert (child := node.find((index,))) is not None
        assert child.value == item.value
    assert node.child("missing") is node.child(99) is None


@pytest.mark.parametrize(
    "text", [TEXT, f"{TEXT}---\n{TEXT}", "- name: a\n- name: b\n", "# nothing\n", "---\n---\n", "- \n", '{"a": [1]}']
)
def test_an_ordinary_file_is_read_as_with_positions(text: str) -> None:
    loaded, other = load_values(text.encode()), load(text.encode())
    assert values(loaded) == values(other)
    for document, placed in zip((loaded or Loaded()).documents, other.documents, strict=True):
        walk(document.root, placed.root)


@pytest.mark.parametrize(
    "text",
    [
        "a: &x 1\nb: *x",
        "a: &x [1]",
        "a: &x {b: 1}",
        "a: !!str 1",
        "a: !t [1]",
        "a: 1\na: 2",
        "<<: {a: 1}",
        "1: a",
        "{a: 1}: b",
        "a: .inf",
        "a: 99999999999999999999",
        "a: [1",
        "a: @b",
        "a: \x07",
        "[" * MAX_DEPTH + "[" + "]" * MAX_DEPTH + "]",
        f"a: {'x' * MAX_BYTES}",
    ],
)
def test_a_file_with_anything_unusual_is_left_to_the_loader_with_positions(text: str) -> None:
    assert load_values(text.encode()) is None


def test_a_file_of_the_greatest_depth_is_read() -> None:
    text = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert values(load_values(text)) == values(load(text))


def test_surrogate_pairs_are_read_as_in_json() -> None:
    text = b'{"a": "\\ud83d\\ude00"}'
    assert values(load_values(text, json=True)) == [{"a": "\N{GRINNING FACE}"}]
    assert load_values(text) is None


@settings(deadline=None)
@given(st.lists(fragments, max_size=60).map("".join), st.booleans())
def test_any_text_is_read_as_with_positions_or_not_at_all(text: str, as_json: bool) -> None:
    loaded, other = load_values(text.encode(), json=as_json), load(text.encode(), json=as_json)
    if loaded is not None:
        assert problems(other) == []
        assert repr(values(loaded)) == repr(values(other))
