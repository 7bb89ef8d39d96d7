"""Documents that violate the schema get readable findings, and the schemas themselves are consistent."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from controller.manifests.reader import DesiredState, ManifestReader
from controller.manifests.schema_validation import deployment_schema_text, schema_text
from controller.manifests.yaml.loader import load
from controller.model.findings import Severity
from controller.model.names import NAME_PATTERN, NAME_RULE
from controller.model.snapshots import ManifestFile
from tests.docs.pages import ROOT, code_blocks
from tests.thoroughness import scaled
from tests.unit.manifests.conftest import NOW

Read = Callable[..., DesiredState]
SCHEMA: dict[str, Any] = json.loads(deployment_schema_text())
GOOD = "name: a\nflow: f.py:m\n"

SCHEDULE_HINT = 'write a cron expression, such as "0 2 * * *" or "@daily", or an interval, such as 15m'


def parts(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    for inner in [*schema.get("properties", {}).values(), *schema.get("definitions", {}).values()]:
        yield from parts(inner)


def said(state: DesiredState) -> list[tuple[str, str, str | None]]:
    return [(finding.code, finding.message, finding.hint) for finding in state.findings]


def test_the_schema_is_a_draft_7_schema() -> None:
    Draft7Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert SCHEMA["$id"] == "urn:flow-controller:deployment:v1"


def test_every_key_has_a_title_and_a_description() -> None:
    for part in parts(SCHEMA):
        if "$ref" not in part:
            assert part["title"]
            assert part["description"]


def test_every_mapping_of_the_format_rejects_unknown_keys() -> None:
    for part in parts(SCHEMA):
        assert "properties" not in part or part["additionalProperties"] is False or part["title"] == "Matrix"


def test_patterns_mean_the_same_to_every_engine() -> None:
    patterns = re.findall(r'"pattern": "([^"]*)"', deployment_schema_text())
    assert patterns
    for pattern in patterns:
        assert pattern.startswith("^")
        assert pattern.endswith("$")
        assert not re.search(r"\\\\[dwsDWSbB]", pattern)


def test_every_example_in_the_schema_is_valid() -> None:
    for part in parts(SCHEMA):
        inner = {key: value for key, value in part.items() if key != "title"} | {"definitions": SCHEMA["definitions"]}
        for example in part.get("examples", ()):
            Draft7Validator(inner).validate(example)


@pytest.mark.parametrize(
    ("written", "meant"),
    [("flwo", "flow"), ("Schedule", "schedule"), ("flow-name", "flow_name"), ("parameter", "parameters")],
)
def test_a_typo_gets_a_suggestion(read: Read, written: str, meant: str) -> None:
    state = read(f"{GOOD}{written}: x")
    assert ("UnknownKey", f"unknown key `{written}`", f"did you mean {meant}?") in said(state)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("version: 1.10", "version must be a string, not a number (1.10)", 'write it in quotes: "1.10"'),
        ("env: {PORT: 080}", "PORT must be a string, not a number (080)", 'write it in quotes: "080"'),
        ("suspend: off", "suspend must be true or false, not a string (off)", "write suspend: false"),
        ("tags: etl", "tags must be a list, not a string (etl)", "write it as a list: [etl]"),
        ("tags:", "tags must be a list, not null", "write a value, or remove the key"),
        ("tags: [a, 1]", "item 2 of tags must be a string, not a number (1)", 'write it in quotes: "1"'),
        ("timeout: [1]", "timeout must be a string or a number, not a list", None),
        ("schedule: 5", "schedule must be a string or a mapping, not a number (5)", SCHEDULE_HINT),
        ("schedules: []\nschedule: {at: x, cron: y}", "cron conflicts with at", None),
        ("parameters: x", "parameters must be a mapping, not a string (x)", None),
    ],
)
def test_a_wrong_value_says_what_was_found_and_expected(read: Read, text: str, message: str, hint: str | None) -> None:
    assert any(found[1].startswith(message) and found[2] == hint for found in said(read(GOOD + text)))


@pytest.mark.parametrize(
    "name",
    ["-a", "_a", ".", "..", ".a", "a" * 101, '"a\\n"', '"a\\0"', "é", '""', "a b", "a/b", "a:b", "a%20", "a{b}"],
)
def test_a_name_with_other_characters_is_an_error(read: Read, name: str) -> None:
    (finding,) = read(f"name: {name}\nflow: f.py:m").findings
    assert (finding.code, finding.path, finding.line, finding.column) == ("InvalidValue", "$.name", 1, 7)


@pytest.mark.parametrize("name", ["a", "0a", "a-b", "a" * 100, "no", "A", "a_b", "a.b", "a-", "a.", "a..b", "9_-."])
def test_a_name_has_letters_digits_hyphens_underscores_and_dots(read: Read, name: str) -> None:
    assert set(read(f"name: {name}\nflow: f.py:m").deployments) == {name}


def test_the_hint_for_an_invalid_name_is_the_rule_with_a_name_that_is_valid(read: Read) -> None:
    (finding,) = read("name: My Deployment (prod)\nflow: f.py:m").findings
    assert finding.hint == f"{NAME_RULE}: My-Deployment-prod"
    (finding,) = read("name: '???'\nflow: f.py:m").findings
    assert finding.hint == NAME_RULE


def test_the_schema_has_the_pattern_of_the_rule() -> None:
    rules = [SCHEMA["properties"][key]["then"] for key in ("name", "renamed_from")]  # `else`: with placeholders
    assert rules == [{"pattern": NAME_PATTERN}] * 2


def test_no_finding_is_repeated(read: Read) -> None:
    found = [(f.line, f.column, f.code, f.message) for f in read("nmae: a\nflow: 5\ntags: {}\nschedule: []").findings]
    assert len(found) == len(set(found)) == 4


def test_project_defaults_have_the_deployment_schema_without_identity() -> None:
    project = json.loads(schema_text("project"))
    Draft7Validator.check_schema(project)
    own = {"name", "flow_location", "flow_name", "renamed_from", "after", "calendars", "environments", "matrix", "on"}
    expected = {key: said for key, said in SCHEMA["properties"].items() if key not in own}
    assert project["definitions"]["defaults"]["properties"] == expected
    shared = {key: part for key, part in SCHEMA["definitions"].items() if key != "calendar"}  # a project has files too
    assert {key: project["definitions"][key] for key in shared} == shared


def test_every_key_of_a_project_has_a_title_and_a_description() -> None:
    project = json.loads(schema_text("project"))
    for part in parts(project):
        if "$ref" not in part:
            assert part["title"]
            assert part["description"]
        assert "properties" not in part or part["additionalProperties"] is False
        inner = {key: value for key, value in part.items() if key != "title"} | {"definitions": project["definitions"]}
        for example in part.get("examples", ()):
            Draft7Validator(inner).validate(example)


def accepts(document: Any) -> bool:
    return Draft7Validator(SCHEMA).is_valid(document)


def test_the_schema_accepts_a_list_of_deployments() -> None:
    good, bad = {"name": "a", "flow": "f.py:m"}, {"name": "a", "flow": "f.py:m", "x": 1}
    assert accepts([good, {"name": "b", "command": ["cat"], "schedules": [{"interval": "1h"}]}])
    for wrong in ([good, bad], [good, "b"], [[good]], [], [{"name": "a"}], [good | {"command": ["cat"]}]):
        assert not accepts(wrong)


BLANK = st.sampled_from(["", " ", "\t", "\u00a0"])
WRITTEN = {
    "interval": st.sampled_from(["90", "1.5", ".5", "5.", "90s", "1h30m", "1w 2d", "PT1,5H", "P1D", "1:30", "01:30:00"])
    | st.from_regex(r"[0-9wdhmsPTDHMS:., -]{1,9}", fullmatch=True),
    "start": st.sampled_from(["2026-01-31", "2026-01-31 09:00", "2026-01-31T09:00:00.5+0200", "2026-01-31t09:00z", "x"])
    | st.from_regex(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}[T ]?[0-9:.,]{0,9} ?[Z+-]?[0-9:]{0,5}", fullmatch=True),
    "memory": st.sampled_from(["512MiB", "1 GiB", "2GB", "1.5GiB", "4194304", "1 gig", "9kB"])
    | st.from_regex(r"[0-9]{6,9}(\.[0-9])? ?[kKMGT]?i?B?", fullmatch=True),
}
FOUND_IN = {
    "interval": lambda text: f"schedule: {{interval: {json.dumps(text)}}}",
    "start": lambda text: f"schedule: {{interval: 1h, start: {json.dumps(text)}}}",
    "memory": lambda text: f"resources: {{memory: {json.dumps(text)}}}",
}


@settings(max_examples=scaled(300), deadline=None)
@given(data=st.data(), key=st.sampled_from(sorted(WRITTEN)), before=BLANK, after=BLANK)
def test_the_schema_accepts_every_duration_time_and_size_that_the_controller_accepts(
    data: st.DataObject, key: str, before: str, after: str
) -> None:
    written = FOUND_IN[key](before + data.draw(WRITTEN[key]) + after)
    file = ManifestFile(path="deployments/a.yaml", content=f"{GOOD}{written}\n".encode(), digest=written)
    state = ManifestReader().read([file], NOW)
    if not any(finding.severity is Severity.ERROR for finding in state.findings):
        assert accepts(state.deployments["a"].document)


@pytest.mark.parametrize(
    "part",
    [
        {"timeout": "2 hours"},
        {"start_deadline": "soon"},
        {"timeout": "15M"},
        {"retries": {"delay": "30 s"}},
        {"catchup": {"window": "-1h"}},
        {"resources": {"memory": "1 gig"}},
        {"schedule": {"interval": "15 minutes"}},
        {"schedule": {"at": "tomorrow"}},
        {"schedule": {"at": ["2026-01-31", "tomorrow"]}},
        {"schedule": {"cron": "@daily", "start": "31.01.2026"}},
    ],
)
def test_the_schema_rejects_invalid_durations_times_and_sizes(part: dict[str, Any]) -> None:
    assert not accepts({"name": "a", "flow": "f.py:m", **part})


def every_example() -> list[Path]:
    folders = (ROOT / "tests" / "examples", ROOT / "deployments")
    return [path for folder in folders for path in sorted(folder.rglob("*.yaml")) if path.name != "controller.yaml"]


def files_as_editors_see_them() -> list[str]:
    blocks = [block for page in sorted((ROOT / "docs").glob("*.md")) for block in code_blocks(page.read_text(), "yaml")]
    return [*(path.read_bytes().decode("utf-8", "replace") for path in every_example()), *blocks]


@pytest.mark.parametrize("text", files_as_editors_see_them())
def test_the_schema_accepts_every_file_that_the_controller_accepts(text: str) -> None:
    loaded = load(text.encode())
    file = ManifestFile(path="deployments/a.yaml", content=text.encode(), digest=text)
    state = ManifestReader().read([file], NOW)
    if loaded.documents and not any(finding.severity is Severity.ERROR for finding in state.findings):
        values = [document.root.value for document in loaded.documents]
        assert all(map(accepts, values))
        assert accepts(values)
