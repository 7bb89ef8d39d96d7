"""Findings as SARIF: always valid by the published schema, and identities that last."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import referencing
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft4Validator

from controller.cli.formats.explanations import codes
from controller.cli.formats.sarif import render
from controller.model.findings import Finding, Severity
from tests.thoroughness import scaled
from tests.unit.cli.formats.conftest import FINDINGS, finding

SCHEMA_FILE = Path(__file__).with_name("sarif-2.1.0-rtm.5.schema.json")
SCHEMA = Draft4Validator(json.loads(SCHEMA_FILE.read_bytes()), registry=referencing.Registry())


def log_of(*findings: Finding) -> dict[str, Any]:
    text = render(findings, version="1.2.3")
    assert text.isascii()
    assert text.replace("\n", "").isprintable()
    log: dict[str, Any] = json.loads(text)
    SCHEMA.validate(log)
    return log


def run_of(*findings: Finding) -> dict[str, Any]:
    run: dict[str, Any] = log_of(*findings)["runs"][0]
    return run


def result_of(**changes: Any) -> dict[str, Any]:
    result: dict[str, Any] = run_of(finding(**changes))["results"][0]
    return result


def uri_of(file: str) -> str:
    uri: str = result_of(file=file)["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    return uri


def fingerprints(*findings: Finding) -> list[str]:
    return [result["partialFingerprints"]["finding/v1"] for result in run_of(*findings)["results"]]


def test_the_sarif_schema_is_the_published_one() -> None:
    digest = sha256(SCHEMA_FILE.read_bytes()).hexdigest()
    assert digest in SCHEMA_FILE.with_suffix(".md").read_text(encoding="utf-8")
    Draft4Validator.check_schema(SCHEMA.schema)


def test_the_sarif_schema_rejects_invalid_logs() -> None:
    log = log_of(finding())
    log["runs"][0]["results"][0]["level"] = "fatal"
    assert not SCHEMA.is_valid(log)


def test_the_log_contains_its_version_and_the_tool() -> None:
    log = log_of()
    assert log["version"] == "2.1.0"
    assert "sarif-schema-2.1.0" in log["$schema"]
    run = log["runs"][0]
    assert run["columnKind"] == "unicodeCodePoints"
    assert run["results"] == []
    driver = run["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("controller", "1.2.3")
    assert "informationUri" not in driver


def test_the_log_contains_the_project_url_if_known() -> None:
    log = json.loads(render([], version="1", information_uri="https://example.org/"))
    SCHEMA.validate(log)
    assert log["runs"][0]["tool"]["driver"]["informationUri"] == "https://example.org/"


def test_a_finding_is_a_result_with_its_location() -> None:
    result = result_of(line=4, column=3)
    assert result["ruleId"] == "UnknownKey"
    assert result["level"] == "error"
    assert result["message"]["text"] == "unknown key `schedul`\nhint: did you mean schedule?"
    assert result["locations"] == [
        {
            "logicalLocations": [{"fullyQualifiedName": "$.schedul"}],
            "physicalLocation": {
                "artifactLocation": {"uri": "deployments/nightly.yaml"},
                "region": {"startLine": 4, "startColumn": 3},
            },
        }
    ]
    assert result["properties"] == {"deployment": "nightly"}


def test_every_code_is_a_rule_with_an_explanation() -> None:
    rules = run_of()["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(codes())
    for rule in rules:
        assert rule["shortDescription"]["text"]
        assert rule["fullDescription"]["text"]
        assert rule["fullDescription"]["text"] in rule["help"]["markdown"]
        assert rule["help"]["text"]
    levels = {rule["id"]: rule["defaultConfiguration"]["level"] for rule in rules}
    warnings = {code for code, level in levels.items() if level == "warning"}
    assert warnings == {
        "EmptyFile",
        "PythonNotRendered",
        "PlainSecret",
        "ClockChange",
        "ShellCommand",
        "CommandFileMissing",
        "CommandFileInvalid",
        "PathClash",
        "ScheduleEnded",
        "ShadowedSchedule",
        "UnevenSteps",
        "StepBeyondField",
        "AmbiguousSchedule",
        "FlowNotChecked",
        "ProjectFileIgnored",
        "RequirementsNotChecked",
        "UnpinnedRequirements",
        "UnusedDeadline",
        "ConflictingDeadlines",
        "DeadlineBelowGap",
        "ChannelNotDeclared",
        "NoChannels",
        "PlainHttp",
        "ResultMayBeMissing",
        "UnusedExclude",
        "PlaceholderNotReplaced",
        "UnusualHeader",
    }


def test_a_result_refers_to_its_rule_even_for_an_unknown_code() -> None:
    run = run_of(finding(code="New\x1bOne"), finding())
    rules = run["tool"]["driver"]["rules"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    assert run["results"][0]["ruleId"] == "New\\x1bOne"


def test_a_warning_has_the_level_warning() -> None:
    assert result_of(severity=Severity.WARNING)["level"] == "warning"


@pytest.mark.parametrize("file", ["a b/ü%#?.yaml", "c:d.yaml", "日本.yaml"])
def test_a_path_becomes_a_relative_uri(file: str) -> None:
    uri = uri_of(file)
    assert uri.isascii()
    assert urlsplit(uri).path == uri
    assert unquote(uri) == file


def test_an_absolute_path_becomes_a_file_uri() -> None:
    assert uri_of("/tmp/a b.yaml") == "file:///tmp/a%20b.yaml"


def test_a_finding_without_a_file_has_no_physical_location() -> None:
    assert result_of(file="")["locations"] == [{"logicalLocations": [{"fullyQualifiedName": "$.schedul"}]}]


def test_braces_and_brackets_in_messages_are_escaped() -> None:
    text = result_of(message="write {a: 1} or [here](https://example.org)", hint=None)["message"]["text"]
    assert text == "write {{a: 1}} or [here\\](https://example.org)"


def test_a_fingerprint_does_not_depend_on_line_numbers_and_wording() -> None:
    moved = finding(line=40, column=9, message="no such key", hint=None, file="deployments/moved.yaml")
    assert fingerprints(finding()) == fingerprints(moved)


def test_different_findings_have_different_fingerprints() -> None:
    others = [finding(code="WrongType"), finding(path="$.x"), finding(deployment="weekly"), finding(deployment=None)]
    assert len(set(fingerprints(finding(), finding(), *others))) == 6


@settings(deadline=None, max_examples=scaled(50))
@given(st.lists(FINDINGS, max_size=3))
def test_any_findings_are_a_valid_log(findings: list[Finding]) -> None:
    run = run_of(*findings)
    assert len(run["results"]) == len(findings)
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
