"""Findings as text: the caret is below the right column, and the output cannot affect the terminal."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.cli.formats.source_lines import SourceLine, source_lines
from controller.cli.formats.text import columns, render
from controller.model.findings import Finding, Severity
from controller.text import visible
from tests.unit.cli.formats.conftest import FINDINGS, TEXTS, finding

COLORS = re.compile("\x1b\\[(?:0|1|2|1;31|1;33)m")


def every_line_is(text: str | None) -> SourceLine:
    def source_line(_file: str, _line: int) -> str | None:
        return text

    return source_line


def excerpt(line: str, column: int, width: int = 80) -> tuple[str, int]:
    """The source line as it is shown, and how many columns left of the caret."""
    text = render([finding(column=column, hint=None)], every_line_is(line), width=width)
    _, shown, caret = text.split("\n")
    assert shown.startswith("  4 | ")
    assert caret.startswith("    | ")
    assert caret.endswith("^")
    return shown[6:], len(caret) - 7


def pointed_at(line: str, column: int, width: int = 80) -> str:
    """Return the text above the caret."""
    shown, offset = excerpt(line, column, width)
    assert sum(columns(char) for char in shown) <= max(width, 26) - 6
    at = 0
    for place, char in enumerate(shown):
        if at == offset and columns(char):
            return shown[place:]
        at += columns(char)
    assert at == offset
    return ""


def test_a_finding_is_shown_with_its_location_line_caret_and_hint() -> None:
    shown = render([finding(column=3)], lambda file, line: f"  schedul: {{}}  # {file}, {line}")
    assert shown.split("\n") == [
        "deployments/nightly.yaml:4:3: error: unknown key `schedul` [UnknownKey]",
        "  4 |   schedul: {}  # deployments/nightly.yaml, 4",
        "    |   ^",
        "    hint: did you mean schedule?",
    ]


def test_findings_are_printed_in_sequence_and_no_findings_as_nothing() -> None:
    findings = [finding(hint=None), finding(hint=None, severity=Severity.WARNING, line=12345)]
    assert render(findings, every_line_is(None)).split("\n") == [
        "deployments/nightly.yaml:4:1: error: unknown key `schedul` [UnknownKey]",
        "deployments/nightly.yaml:12345:1: warning: unknown key `schedul` [UnknownKey]",
    ]
    assert render([], every_line_is("text")) == ""


@pytest.mark.parametrize("line", ["", "  \t ", None])
def test_an_empty_source_line_is_not_shown(line: str | None) -> None:
    assert "|" not in render([finding()], every_line_is(line))


def test_the_line_of_a_secret_is_not_shown() -> None:
    assert "hunter2" not in render([finding(code="PlainSecret")], every_line_is("PASSWORD: hunter2"))


@pytest.mark.parametrize(
    ("line", "column", "shown"),
    [
        ("\tname: x", 2, "name: x"),
        ("\tname: x", 1, "\\tname: x"),
        ("name: 日本語 x", 11, "x"),
        ("name: e\u0301 x", 10, "x"),
        ("\u1112\u1161\u11ab x", 5, "x"),
        ("a\x1b[31mb", 2, "\\x1b[31mb"),
        ("a\u202eb", 3, "b"),
        ("name: x\r\n", 7, "x"),
        ("name: x", 8, ""),
        ("name: x", 99, ""),
        ("name: x", 0, "name: x"),
    ],
)
def test_the_caret_is_under_its_character(line: str, column: int, shown: str) -> None:
    assert pointed_at(line, column) == shown


def test_a_long_line_is_cut_around_the_column() -> None:
    line = "".join(f"{number:05} " for number in range(10_000))
    assert excerpt(line, 1, 50) == (line[:38] + "...", 0)
    shown, _ = excerpt(line, 30_001, 50)
    assert shown.startswith("...")
    assert shown.endswith("...")
    assert pointed_at(line, 30_001, 50).startswith("05000 ")
    assert pointed_at(line, len(line), 50) == " "
    assert pointed_at(line, len(line) + 1, 50) == ""
    assert pointed_at("日" * 500, 250, 41).startswith("日")
    assert pointed_at("e\u0301" * 500, 499, 30).startswith("e")


def test_a_line_that_just_fits_is_not_cut() -> None:
    assert excerpt("x" * 74, 74) == ("x" * 74, 73)
    assert excerpt("x" * 74, 75)[0].startswith("...")


def test_no_line_begins_like_a_workflow_command_of_a_ci_server() -> None:
    shown = render([finding(message="::error::", hint="::debug::")], every_line_is("::stop-commands::x"))
    assert not [line for line in shown.split("\n") if line.lstrip().startswith("::")]


def test_colored_output_differs_only_in_colors() -> None:
    plain = render([finding()], every_line_is("schedul: 日本"))
    colored = render([finding()], every_line_is("schedul: 日本"), color=True)
    assert colored != plain
    assert COLORS.sub("", colored) == plain


@settings(deadline=None)
@given(st.lists(FINDINGS, max_size=3), st.none() | TEXTS, st.integers(0, 120), st.booleans())
def test_any_finding_is_shown_without_control_characters(
    findings: list[Finding], line: str | None, width: int, color: bool
) -> None:
    shown = render(findings, every_line_is(line), width=width, color=color)
    assert COLORS.sub("", shown).replace("\n", "").isprintable()
    shown.encode()


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Mn", "Me"], exclude_characters="\r\n"), min_size=1), st.data())
def test_the_caret_is_under_its_character_in_any_column(line: str, data: st.DataObject) -> None:
    column = data.draw(st.integers(1, len(line)))
    char = visible(line[column - 1])
    if columns(char) and not line.isspace():
        assert pointed_at(line, column, data.draw(st.integers(26, 60))).startswith(char)


def test_lines_are_counted_as_editors_count_them() -> None:
    content = "\ufeffa\r\nb\rc\u2028d\x85e\x0cf\n".encode() + b"\xff g"
    line = source_lines({"x": content}.get)
    assert [line("x", number) for number in range(1, 6)] == ["a", "b", "c\u2028d\x85e\x0cf", "\\xff g", None]
    assert line("x", 0) is None
    assert line("y", 1) is None


def test_a_file_is_split_into_lines_once() -> None:
    asked: list[str] = []

    def content(file: str) -> bytes:
        asked.append(file)
        return b"a\nb"

    line = source_lines(content)
    assert [line("x", 1), line("x", 2)] == ["a", "b"]
    assert asked == ["x"]
