"""Findings as workflow commands: the runner reads back what was meant, whatever it was."""

import re
from urllib.parse import unquote

from hypothesis import given, settings

from controller.cli.formats.github import render
from controller.model.findings import Finding, Severity
from tests.unit.cli.formats.conftest import FINDINGS, finding

# As the runner reads a command: actions/runner, ActionCommand.cs.
COMMAND = re.compile(r"::(error|warning) ([^:]*)::(.*)")


def read_back(line: str) -> tuple[str, dict[str, str], str]:
    match = COMMAND.fullmatch(line)
    assert match
    properties = dict(said.split("=", 1) for said in match[2].split(","))
    return match[1], {key: unquote(value) for key, value in properties.items()}, unquote(match[3])


def test_a_finding_is_an_annotation_with_its_location() -> None:
    assert render([finding(hint=None)]) == (
        "::error file=deployments/nightly.yaml,line=4,col=1,title=UnknownKey::unknown key `schedul`"
    )


def test_a_warning_keeps_its_level_and_the_hint_has_its_own_line() -> None:
    shown = render([finding(severity=Severity.WARNING)])
    assert shown.startswith("::warning file=")
    assert shown.endswith("::unknown key `schedul`%0Ahint: did you mean schedule?")


def test_characters_with_a_meaning_in_a_workflow_command_are_escaped() -> None:
    shown = render([finding(file="a:b,c%\n.yaml", message="50%: a, b\r\n::error::", hint=None)])
    assert shown == ("::error file=a%3Ab%2Cc%25%0A.yaml,line=4,col=1,title=UnknownKey::50%25: a, b%0D%0A::error::")


def test_a_finding_without_a_file_has_no_file_property() -> None:
    assert render([finding(file="", hint=None)]).startswith("::error line=4,col=1,title=")


def test_each_line_is_one_workflow_command() -> None:
    assert render([]) == ""
    assert len(render([finding(), finding()]).split("\n")) == 2


@settings(deadline=None)
@given(FINDINGS)
def test_any_finding_is_one_safe_line_that_can_be_parsed(one: Finding) -> None:
    shown = render([one])
    assert shown.isprintable()
    level, properties, message = read_back(shown)
    assert level == one.severity
    assert properties["line"] == str(max(one.line, 1))
    if one.message.isprintable() and not one.hint:
        assert message == one.message
