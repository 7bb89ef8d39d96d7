"""Any bytes quickly become documents or problems, and each problem has its exact position."""

import json
import time
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.manifests.yaml import loader as load_module
from controller.manifests.yaml.loader import Loaded, load
from controller.manifests.yaml.nodes import Position, Problem


def values(content: str | bytes, **how: bool) -> list[Any]:
    loaded = load(content.encode() if isinstance(content, str) else content, **how)
    assert problems(loaded) == []
    return [document.root.value for document in loaded.documents]


def problems(loaded: Loaded) -> list[Problem]:
    return [*loaded.problems, *(problem for document in loaded.documents for problem in document.problems)]


def codes(content: str | bytes) -> list[tuple[str, int, int]]:
    found = problems(load(content.encode() if isinstance(content, str) else content))
    return [(problem.code, *problem.place[:2]) for problem in found]


def alias_bomb() -> bytes:
    lines = (f"b{i}: &a{i + 1} [{', '.join([f'*a{i}'] * 9)}]" for i in range(20))
    return ("a: &a0 x\n" + "\n".join(lines)).encode()


def merge_bomb() -> bytes:
    lines = (f"b{i}: &a{i + 1} {{<<: [*a{i}, *a{i}], k{i}: 1}}" for i in range(30))
    return ("a: &a0 {x: 1}\n" + "\n".join(lines)).encode()


HOSTILE = [
    (b"[" * 200_000, "TooDeep"),
    (b"{a: " * 50_000, "TooDeep"),
    (b"- " * 100_000, "TooDeep"),
    (b"? " * 100_000, "TooDeep"),
    (alias_bomb(), "TooManyNodes"),
    (merge_bomb(), "TooManyNodes"),
    (b"a: &x '" + b"y" * 60_000 + b"'\nb: [" + b"*x, " * 10_000 + b"]", "TooMuchText"),
    (b"[" + b"a," * 30_000 + b"]", "TooManyNodes"),
    (b"--- a\n" * 30_000, "TooManyNodes"),
    (b"a: " + b"x" * 70_000, "ScalarTooLong"),
    (b"a: '" + b"x" * 70_000 + b"'", "ScalarTooLong"),
    (b"a: " + b"9" * 5_000, "IntegerTooLarge"),
    (b"#" * (1024 * 1024 + 1), "FileTooLarge"),
    (b"%TAG !a! tag:x\n" * 50_000 + b"---\na: 1", "TagNotAllowed"),
    (b"a: &a [*a]", "RecursiveAlias"),
    (b"&a {b: *a}", "RecursiveAlias"),
    (b"a: \0", "InvalidCharacter"),
    (b"\x7fELF\x02\x01\x01\0", "NotAManifest"),
    (b"\x89PNG\r\n", "NotAManifest"),
    (b"\xff\xfea\0", "NotUtf8"),
    ("name: a".encode("utf-16-le"), "NotUtf8"),
    (b"a: \xed\xa0\x80", "NotUtf8"),
    (b'a: "\\ud800"', "InvalidYaml"),
    (b"a: !!python/object/apply:os.system [ls]", "TagNotAllowed"),
    (b"a: !!binary aGk=", "TagNotAllowed"),
    (b"%YAML 3.0\n---\na: 1", "InvalidYaml"),
]


@pytest.mark.parametrize(("content", "code"), HOSTILE, ids=[f"{code}-{i}" for i, (_, code) in enumerate(HOSTILE)])
def test_a_hostile_file_is_rejected_quickly(content: bytes, code: str) -> None:
    began = time.process_time()
    found = problems(load(content))
    assert code in {problem.code for problem in found}
    assert all(len(problem.message) < 300 for problem in found)
    assert time.process_time() - began < 2


@pytest.mark.parametrize(("content", "code"), HOSTILE[4:16])
def test_the_parser_without_libyaml_rejects_the_same_files(
    content: bytes, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_module, "_LOADER", yaml.SafeLoader)
    assert code in {problem.code for problem in problems(load(content[:200_000]))} or len(content) > 200_000


def test_the_parser_without_libyaml_rejects_unpaired_surrogates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_module, "_LOADER", yaml.SafeLoader)
    assert codes('a: "\\ud800"') != []


def test_exactly_the_depth_limit_is_allowed() -> None:
    assert codes("[" * 32 + "]" * 32) == []
    assert codes("[" * 33 + "]" * 33) == [("TooDeep", 1, 33)]


def test_an_alias_counts_with_its_depth() -> None:
    inner = "a: &a " + "[" * 20 + "1" + "]" * 20 + "\n"
    assert codes(inner + "b: " + "[" * 11 + "*a" + "]" * 11) == []
    assert codes(inner + "b: " + "[" * 12 + "*a" + "]" * 12) == [("TooDeep", 2, 16)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\n\n  # c\na: 2", [("DuplicateKey", 4, 1)]),
        ("a: {b: 1, 'b': 2}", [("DuplicateKey", 1, 11)]),
        ("é😀: !x 1", [("TagNotAllowed", 1, 5)]),
        ("a: !x {b: 1}", [("TagNotAllowed", 1, 4)]),
        ("a:\n  1: x\n  ~: y\n  no: z", [("KeyNotString", 2, 3), ("KeyNotString", 3, 3)]),
        ("? [a]\n: b", [("KeyNotString", 1, 3)]),
        ("? {a: b}\n: b", [("KeyNotString", 1, 3)]),
        ("a: .inf", [("NotFinite", 1, 4)]),
        ("a: [1, 9007199254740993]", [("IntegerTooLarge", 1, 8)]),
        ("a: *b", [("UnknownAlias", 1, 4)]),
        ("a: &x 1\n---\nb: *x", [("UnknownAlias", 3, 4)]),
        ("<<: 1", [("InvalidMerge", 1, 5)]),
        ("<<: [{a: 1}, 2]", [("InvalidMerge", 1, 5)]),
        ("a: b\r\nc: \x01", [("InvalidCharacter", 2, 4)]),
        ("cron: */5 * * * *", [("InvalidYaml", 1, 7)]),
        ("- cron: * * * * *", [("InvalidYaml", 1, 9)]),
        ("a: {cron: @daily}", [("InvalidYaml", 1, 11)]),
        ("a:\n\tb: 1", [("InvalidYaml", 2, 1)]),
        ("a: b: c", [("InvalidYaml", 1, 5)]),
        ('a: 1\nb: "x', [("InvalidYaml", 2, 4)]),
        ("a: [1, 2", [("InvalidYaml", 2, 1)]),
        ("- a\nb: c", [("InvalidYaml", 2, 1)]),
    ],
)
def test_a_problem_has_the_position_of_the_fault(text: str, expected: list[tuple[str, int, int]]) -> None:
    assert codes(text) == expected


@pytest.mark.parametrize("character", ["\x85", "\u2028", "\u2029"])
def test_unusual_line_breaks_cannot_hide_a_key_in_a_comment(character: str) -> None:
    (problem,) = load(f"a: 1\n# just a comment{character}b: 2\n".encode()).problems
    assert (problem.code, problem.place) == ("InvalidCharacter", Position(2, 17))
    escape = f"\\u{ord(character):04X}"
    assert problem.hint == f'write it as an escape in double quotes: "{escape}"'
    assert values(f'a: "{escape}"') == [{"a": character}]


def test_a_duplicate_key_names_the_first_place() -> None:
    (problem,) = problems(load(b"a: 1\nb: 2\na: 3"))
    assert "line 1" in problem.message
    assert problem.path == ("a",)


@pytest.mark.parametrize("value", ["*/5 * * * *", "@daily", "%x", "`x`"])
def test_the_hint_for_an_unquoted_value_has_quotes(value: str) -> None:
    (problem,) = problems(load(f"schedule:\n  cron: {value}  # why\n".encode()))
    assert problem.hint == f'write cron: "{value}"'


def test_aliases_and_merge_keys_work() -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {z: 0, <<: [{x: 9}, *a]}\nd: *a\n'<<': text"
    expected = {"x": 1, "y": 2}
    assert values(text) == [
        {"a": expected, "b": {"x": 1, "y": 3}, "c": {"z": 0, "x": 9, "y": 2}, "d": expected, "<<": "text"}
    ]


def test_the_later_of_two_equal_anchors_applies() -> None:
    assert values("[&a 1, &a 2, *a, &a [&a 3], *a]") == [1, 2, 2, [3], 3]


def test_documents_lists_and_comments() -> None:
    assert values("# c\n---\na: 1\n---\n# nothing\n---\n- b: 2\n- c: 3\n...\n") == [{"a": 1}, {"b": 2}, {"c": 3}]
    assert values("") == values("# c\n") == values("---\n---\n") == values("[]") == []


def test_a_byte_order_mark_and_crlf_are_fine() -> None:
    assert values(b"\xef\xbb\xbfa: b\r\nc: |\r\n  d\r\n") == [{"a": "b", "c": "d\n"}]


def test_a_fault_in_one_item_of_a_list_does_not_affect_the_others() -> None:
    loaded = load(b"- {a: 1}\n- {b: 1, b: 2}\n- {c: .nan}\n")
    assert [len(document.problems) for document in loaded.documents] == [0, 1, 1]
    assert [problem.path for problem in problems(loaded)] == [("b",), ("c",)]


def test_a_fault_in_an_anchored_value_is_reported_at_every_alias() -> None:
    loaded = load(b"- {a: &x {b: 1, b: 2}}\n- {a: *x}\n- {a: fine}")
    assert [[p.code for p in d.problems] for d in loaded.documents] == [["DuplicateKey"], ["BrokenAlias"], []]


characters = st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp", "Cn"]) | st.sampled_from("\t\n\r\0\x1b")
texts = st.text(characters)
keys = st.text(characters, max_size=50)  # YAML reads keys of at most 1024 characters, escapes counted
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)
@given(st.dictionaries(keys, json_values), st.sampled_from([None, 2, "\t"]), st.booleans())
def test_json_is_read_as_json(value: dict[str, Any], indent: int | str | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert values(text, json=True) == [value]


def lines_of(root: Any, text: str) -> None:
    for name, node in root.fields.items():
        line = text.split("\n")[root.keys[name].line - 1]
        assert line[root.keys[name].column - 1 :].startswith(name)
        lines_of(node, text)


def test_every_key_has_its_position() -> None:
    text = "a: 1\nbb:\n  cc: {d: 1, e: [x]}\n  'f': y\n".replace("'f'", "f")
    lines_of(load(text.encode()).documents[0].root, text)


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_give_documents_or_problems(content: bytes) -> None:
    load(content)


fragments = st.sampled_from(
    [
        "a",
        ": ",
        "- ",
        "\n",
        "  ",
        "\t",
        "[",
        "]",
        "{",
        "}",
        "&x ",
        "*x",
        "<<: ",
        "!t ",
        "|",
        ">",
        '"',
        "'",
        "#",
        "%TAG",
        "---\n",
        "...\n",
        "? ",
        ",",
        "1",
        ".nan",
        "\\u",
        "\r",
        "\x00",
        "é",
        "😀",
        "\ud7ff",
        "\x85",
        "\u2028",
        "\ufeff",
        "@",
        "name",
    ]
)


@settings(deadline=None)
@given(st.lists(fragments, max_size=60).map("".join), st.booleans())
def test_any_mixture_of_characters_gives_documents_or_problems(text: str, as_json: bool) -> None:
    lines = text.count("\n") + text.count("\r") + 2
    for problem in problems(load(text.encode(), json=as_json)):
        assert 1 <= problem.place.line <= lines
        assert problem.place.column >= 1


@pytest.mark.parametrize(
    ("tagged", "hint"),
    [
        ("!!str 017", 'write it in quotes: "017"'),
        ("!!str no", 'write it in quotes: "no"'),
        ("!!str 2026-01-01", 'write it in quotes: "2026-01-01"'),
        ('!!int "3"', "write 3"),
        ("!!float 1", "write 1.0"),
        ("!!bool yes", "write true"),
        ("!Ref x", "write a plain value without the tag"),
    ],
)
def test_the_hint_for_a_tag_keeps_the_value(tagged: str, hint: str) -> None:
    (problem,) = load(f"a: {tagged}".encode()).documents[0].problems
    assert problem.hint == hint
    written = hint.removeprefix("write ").removeprefix("it in quotes: ")
    if "plain" not in hint:
        value = load(f"a: {written}".encode()).documents[0].root.value["a"]
        assert value == {"!!int": 3, "!!float": 1.0, "!!bool": True}.get(tagged.split()[0], tagged.split()[1])


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("a: {x: :y}", "the mapping { } that starts on line 1 can't begin with :", 'write it in quotes: ":y"'),
        ("a: {:x: y}", "the mapping { } that starts on line 1", 'write it in quotes: ":x"'),
        ("a: [:y]", "the list [ ] that starts on line 1 can't begin with :", 'write it in quotes: ":y"'),
        ("a: {x: [:y]}", "the list [ ] that starts on line 1", 'write it in quotes: ":y"'),
        ("a: [1, {x: ?}]", "the mapping { } that starts on line 1", 'write it in quotes: "?"'),
        ("a: {x: [b]\n", "the mapping { } that starts on line 1 is not finished", "close it with }"),
        ("a: {x: b: c}", "the mapping { } that starts on line 1", "put a value that contains `: ` in quotes"),
        ("a:\n  [b,\n  'c'd]", "the list [ ] that starts on line 2", "separate items with commas"),
    ],
)
def test_a_syntax_error_names_the_list_or_mapping_around_it(text: str, says: str, hint: str) -> None:
    (problem,) = load(text.encode()).problems
    assert says in problem.message
    assert (problem.hint or "").startswith(hint)
