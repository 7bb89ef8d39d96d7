"""Triggers under `on`: what they mean, and the findings for values that are wrong."""

from datetime import timedelta

import pytest

from controller.manifests.reader import DesiredState, ManifestReader
from controller.model.policies import EnvSecret
from controller.model.triggers import FileTrigger, WebhookSignature, WebhookTrigger
from tests.unit.manifests.conftest import NOW, Read, manifest
from tests.written_code import WrittenCode

CAT = "name: a\ncommand: [cat]\n"


def test_triggers_are_read_in_the_order_of_the_document(read: Read) -> None:
    state = read(
        CAT
        + "on:\n"
        + "- files: {path: /srv/inbox//eu/./, pattern: '**/*.csv', settle: 1m, parameter: path}\n"
        + "- webhook: {name: refunds, secret: {env: HOOK}, signature: token, header: X-T, parameters: {id: $.id}}\n"
        + "- files: {path: /srv/outbox}\n"
    )
    assert state.findings == ()
    deployment = state.deployments["a"]
    assert deployment.files == (
        FileTrigger(path="/srv/inbox/eu", pattern="**/*.csv", settle=timedelta(minutes=1), parameter="path"),
        FileTrigger(path="/srv/outbox", pattern="*", settle=timedelta(seconds=5), parameter=None),
    )
    [webhook] = deployment.webhooks
    assert webhook == WebhookTrigger(
        name="refunds",
        secret=EnvSecret(env="HOOK"),
        signature=WebhookSignature.TOKEN,
        header="X-T",
        parameters={"id": "$.id"},
    )


def test_one_trigger_needs_no_list(read: Read) -> None:
    assert read(CAT + "on: {files: {path: /srv}}\n").deployments["a"].files == (FileTrigger(path="/srv"),)


def test_a_deployment_without_triggers_has_none(read: Read) -> None:
    deployment = read(CAT).deployments["a"]
    assert (deployment.files, deployment.webhooks) == ((), ())


@pytest.mark.parametrize(
    ("text", "code", "path", "message"),
    [
        ("on: [{files: {path: inbox}}]", "InvalidValue", "$.on[0].files.path", "path must be an absolute path"),
        ("on: [{files: {pattern: x}}]", "MissingKey", "$.on[0].files", "required key `path` is missing"),
        ("on: [{files: {path: /a, pattern: ../*}}]", "InvalidValue", "$.on[0].files.pattern", "relative to the folder"),
        ("on: [{files: {path: /a, pattern: /a/*}}]", "InvalidValue", "$.on[0].files.pattern", "relative to the folder"),
        ("on: [{files: {path: /a/../b}}]", "InvalidValue", "$.on[0].files.path", "path can't contain `..`"),
        ("on: [{files: {path: /a, pattern: 'x/[a'}}]", "InvalidValue", "$.on[0].files.pattern", "is not closed"),
        ("on: [{files: {path: /a, pattern: '[]a'}}]", "InvalidValue", "$.on[0].files.pattern", "is not closed"),
        ("on: [{files: {path: /a, settle: soon}}]", "InvalidDuration", "$.on[0].files.settle", "soon"),
        ("on: [{files: {path: /a, settle: 2d}}]", "InvalidDuration", "$.on[0].files.settle", "at most one day"),
        ('on: [{files: {path: "/a\\0"}}]', "ControlCharacter", "$.on[0].files.path", "control characters"),
        ("on: [{}]", "MissingKey", "$.on[0]", "exactly one of files or webhook is required"),
        ("on: {file: {path: /a}}", "UnknownKey", "$.on.file", "unknown key `file`"),
        ("on: []", "InvalidValue", "$.on", "on must not be empty"),
        ("on: push", "WrongType", "$.on", "on must be a list or a mapping, not a string (push)"),
        ("on: [push]", "WrongType", "$.on[0]", "item 1 of on must be a mapping, not a string (push)"),
    ],
)
def test_a_wrong_trigger_has_one_finding_at_its_place(
    read: Read, text: str, code: str, path: str, message: str
) -> None:
    [finding] = read(CAT + text + "\n").findings
    assert (finding.code, finding.path) == (code, path)
    assert message in finding.message


def test_an_invalid_trigger_does_not_hide_another(read: Read) -> None:
    state = read(CAT + "on: [{files: {path: a}}, {files: {path: /b, settle: x}}]\n")
    assert [finding.path for finding in state.findings] == ["$.on[0].files.path", "$.on[1].files.settle"]


FLOW = "name: a\nflow: flows/a.py:load\n"
CODE = WrittenCode({"flows/a.py": "def load(path: str, days: int = 1): ...\n"})


def read_with_code(text: str) -> DesiredState:
    return ManifestReader().read([manifest("deployments/a.yaml", f"{FLOW}{text}\n")], NOW, code=CODE)


@pytest.mark.parametrize(
    ("text", "code", "path", "severity"),
    [
        ("on: {files: {path: /a, parameter: pth}}", "UnknownParameter", "$.on.files.parameter", "error"),
        (
            "parameters: {path: x}\non: {files: {path: /a, parameter: days}}",
            "WrongParameterType",
            "$.on.files.parameter",
            "error",
        ),
        ("on: [{webhook: {name: a, secret: {env: A}, parameters: {pth: $}}}]", "UnknownParameter", "$.on[0]", "error"),
        ("on: {files: {path: /a}}", "MissingParameter", "$", "error"),
        ("on: [{files: {path: /a}}, {files: {path: /b, parameter: path}}]", "MissingParameter", "$.on[0]", "error"),
    ],
)
def test_the_parameters_of_a_trigger_are_checked_with_the_flow(text: str, code: str, path: str, severity: str) -> None:
    [finding] = read_with_code(text).findings
    assert (finding.code, finding.severity) == (code, severity)
    assert finding.path.startswith(path)


@pytest.mark.parametrize(
    "text",
    [
        "on: {files: {path: /a, parameter: path}}",
        "on: {webhook: {name: a, secret: {env: A}, parameters: {path: $.path, days: $.days}}}",
        "on: {files: {path: /a}}\nparameters: {path: x}",
    ],
)
def test_a_parameter_that_a_trigger_sets_is_not_missing(text: str) -> None:
    assert read_with_code(text).findings == ()


@pytest.mark.parametrize("pattern", ["[[]a", "[]]", "[!]a]*", "a[0-9].csv", "a]"])
def test_a_pattern_with_closed_brackets_is_valid(read: Read, pattern: str) -> None:
    assert read(f"{CAT}on: {{files: {{path: /a, pattern: '{pattern}'}}}}\n").findings == ()


@pytest.mark.parametrize("trigger", ["{path: /a, parameter: path, settle: 2d}", "/a", "{path: a, parameter: path}"])
def test_a_parameter_is_not_missing_if_the_trigger_that_may_set_it_is_invalid(trigger: str) -> None:
    [finding] = read_with_code(f"on: {{files: {trigger}}}").findings
    assert finding.path.startswith("$.on.files")
