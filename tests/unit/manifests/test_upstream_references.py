"""References in parameters to the results of upstream runs: what `validate` reports, and what a run gets."""

from typing import Any

import pytest

from controller import flow_analysis
from controller.manifests.reference_types import check_parameters
from controller.manifests.upstream_references import (
    MissingResultError,
    find_upstream_references,
    resolve_upstream_references,
)
from tests.unit.manifests.conftest import Read

UPSTREAMS = "---\nname: ingest\ncommand: [a]\n---\nname: audit\ncommand: [a]\n"
RESULTS: dict[str, Any] = {
    "ingest": {"path": 7, "files": [{"size": 3}, {"size": None}]},
    "empty": None,
    "a.result": {"x": 1},
    "a": {"x": 2, "result": 3},
}


def document(after: str, parameters: str) -> str:
    return f"name: report\ncommand: [a]\nafter: {after}\nparameters: {parameters}\n{UPSTREAMS}"


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("ingest.result", RESULTS["ingest"]),
        ("ingest.result.path", 7),
        ("ingest.result.files.0.size", 3),
        ("ingest.result.files.1.size", None),
        ("a.result.x", 2),
        ("a.result.result.x", 1),
        ("a.result.result", {"x": 1}),
    ],
)
def test_a_reference_gives_a_part_of_the_result(source: str, value: object) -> None:
    parameters = {"x": {"from": source}, "deep": {"list": [{"from": source}, 1]}, "literal": {"from": "x", "to": "y"}}
    assert resolve_upstream_references(parameters, RESULTS) == {
        "x": value,
        "deep": {"list": [value, 1]},
        "literal": {"from": "x", "to": "y"},
    }


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "ingest.result.file",
            "parameter x[0]: 'ingest.result.file': the result of ingest has no key 'file'",
        ),
        (
            "ingest.result.files.2",
            "parameter x[0]: 'ingest.result.files.2': 'files' in the result of ingest has no key '2': it is a list",
        ),
        (
            "ingest.result.path.x",
            "parameter x[0]: 'ingest.result.path.x': 'path' in the result of ingest has no key 'x': it is the number 7",
        ),
        ("empty.result", "parameter x[0]: 'empty.result': the run of empty has no result"),
        ("audit.result", "parameter x[0]: 'audit.result': this run has no upstream run of audit"),
    ],
)
def test_a_missing_value_is_an_error(source: str, message: str) -> None:
    with pytest.raises(MissingResultError) as caught:
        resolve_upstream_references({"x": [{"from": source}]}, RESULTS)
    assert caught.value.message == message


def test_a_value_from_a_result_is_never_read_as_a_reference() -> None:
    results = {"ingest": {"from": "ingest.result"}}
    assert resolve_upstream_references({"x": {"from": "ingest.result"}}, results) == {"x": {"from": "ingest.result"}}


def test_references_are_listed_with_their_paths() -> None:
    parameters = {"a": [{"from": "ingest.result"}], "b": {"from": "due_time"}, "from": "ingest.result"}
    assert find_upstream_references(parameters) == {("a", 0): "ingest.result"}


@pytest.mark.parametrize(
    ("after", "value", "code", "path", "message", "hint"),
    [
        (
            "audit",
            "{from: ingest.result.path}",
            "InvalidReference",
            "$.parameters.x.from",
            "'ingest.result.path' refers to ingest, which `after` does not list",
            "add ingest to after",
        ),
        (
            "ingest",
            "{from: ingset.result}",
            "InvalidReference",
            "$.parameters.x.from",
            "'ingset.result' refers to ingset, which `after` does not list",
            "did you mean ingest?",
        ),
        (
            "ingest",
            "{from: ingest.path}",
            "InvalidReference",
            "$.parameters.x.from",
            "'ingest.path' is not a result of ingest",
            "write ingest.result, or ingest.result.KEY for a part of it",
        ),
        (
            "ingest",
            "{from: ingest.result..path}",
            "InvalidReference",
            "$.parameters.x.from",
            "'ingest.result..path' is not a result of ingest",
            "write ingest.result, or ingest.result.KEY for a part of it",
        ),
        (
            "ingest",
            "{from: ingest.result, format: date}",
            "InvalidReference",
            "$.parameters.x.format",
            "a reference to a result has no key 'format'",
            "a reference to a result has only the key from",
        ),
        (
            "{deployments: [ingest, audit], any: true}",
            "{from: ingest.result}",
            "ResultMayBeMissing",
            "$.parameters.x.from",
            "a run that another upstream deployment starts has no result of ingest, and fails",
            "read get_run_context().upstream in the flow, or CONTROLLER_UPSTREAM in a command",
        ),
        (
            "{deployment: ingest, on: failed}",
            "{from: ingest.result}",
            "ResultMayBeMissing",
            "$.parameters.x.from",
            "a failed run of ingest has no result, so the run fails",
            "read get_run_context().upstream in the flow, or CONTROLLER_UPSTREAM in a command",
        ),
    ],
)
def test_a_reference_that_cannot_work_is_reported(
    read: Read, after: str, value: str, code: str, path: str, message: str, hint: str
) -> None:
    (finding,) = read(document(after, f"{{x: {value}}}")).findings
    assert (finding.code, finding.path, finding.message, finding.hint) == (code, path, message, hint)


@pytest.mark.parametrize(
    "value",
    ["{from: ingest.result}", "[{from: ingest.result.a.0}]", "{from: x, to: y}", "{from: due_time}", "{from: audit.x}"],
)
def test_a_valid_reference_or_a_literal_mapping_has_no_finding(read: Read, value: str) -> None:
    assert read(document("ingest", f"{{x: {value}}}")).findings == ()


@pytest.mark.parametrize(
    ("parameters", "messages"),
    [
        ({"days": {"from": "ingest.result.days"}, "names": [{"from": "ingest.result"}]}, []),
        ({"days": "x", "names": [{"from": "ingest.result"}]}, ['days: expected int, got the string "x"']),
        ({"names": []}, ["the parameter days (int) is missing"]),
    ],
)
def test_the_type_of_a_result_is_not_checked_before_the_run(parameters: dict[str, Any], messages: list[str]) -> None:
    flow = flow_analysis.read_module(b"def main(days: int, names: list[str]):\n    pass\n").find("main")
    assert isinstance(flow, flow_analysis.Flow)
    assert [problem.message for problem in check_parameters(flow, parameters)] == messages


def test_a_reference_with_the_prefix_upstream_has_a_hint(read: Read) -> None:
    [finding] = read(document("ingest", "{x: {from: upstream.ingest.result.path}}")).findings
    assert (finding.code, finding.hint) == ("InvalidReference", "write ingest.result.path")
