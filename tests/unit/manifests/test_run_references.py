"""References to the id of the run, its revision and environment variables: values, errors, and the check of types."""

from typing import Any

import pytest

from controller.manifests.parameter_references import find_errors, find_references, has_references, resolve
from controller.manifests.run_names import complete_name, run_name
from controller.manifests.run_references import MissingVariableError, RunValues, Variables
from controller.model.findings import Severity
from tests.conftest import NOW
from tests.unit.manifests.test_flow_references import at, found, read
from tests.written_code import WrittenCode

VARIABLES = Variables({"REGION": "eu", "EMPTY": "", "TOKEN": "x", "BAD": "\udcff"}, ("REGION", "EMPTY", "BAD", "GONE"))
RUN = RunValues("0199-id", "main@sha1:abc", VARIABLES)


def resolved(parameters: dict[str, Any], run: RunValues | None = RUN) -> dict[str, Any]:
    return resolve(parameters, NOW, (), run=run)


def test_references_give_the_values_of_the_run_also_inside_of_values() -> None:
    parameters = {
        "id": {"from": "run.id"},
        "of": [{"commit": {"from": "revision"}}, {"from": "env.REGION"}, {"from": "env.EMPTY"}],
        "day": {"from": "due_time", "format": "date"},
        "text": "run.id",
    }
    assert resolved(parameters) == {
        "id": "0199-id",
        "of": [{"commit": "main@sha1:abc"}, "eu", ""],
        "day": NOW.date().isoformat(),
        "text": "run.id",
    }
    assert resolved(parameters, None) == {**parameters, "day": NOW.date().isoformat()}


@pytest.mark.parametrize(
    "literal",
    [
        {"from": "revision", "to": 3},
        {"from": "run.id", "to": "id"},
        {"from": "env.result"},
        {"from": "run.result"},
        {"from": "environment"},
        {"from": 3},
    ],
)
def test_other_mappings_are_literal(literal: dict[str, Any]) -> None:
    assert not has_references(literal)
    assert resolved({"x": literal}) == {"x": literal}


def test_a_parameter_with_the_name_from_is_no_reference() -> None:
    parameters = {"from": "revision", "format": "csv"}
    assert resolved(parameters) == parameters
    assert list(find_errors(parameters)) == []
    assert find_references(parameters) == {}


@pytest.mark.parametrize(
    ("name", "why", "hint"),
    [
        ("TOKEN", "the operator does not allow this variable", "start the controller with --parameter-env TOKEN"),
        ("GONE", "this variable is not set", "set GONE in the environment of the controller"),
        ("BAD", "the value of this variable is not UTF-8", "set BAD to a text in UTF-8"),
    ],
)
def test_a_variable_without_a_value_stays_a_reference_and_has_a_reason(name: str, why: str, hint: str) -> None:
    parameters = {"id": {"from": "run.id"}, "x": [{"from": f"env.{name}"}]}
    left = resolved(parameters)
    assert left == {"id": "0199-id", "x": [{"from": f"env.{name}"}]}
    with pytest.raises(MissingVariableError) as caught:
        VARIABLES.check(find_references(left))
    assert (caught.value.message, caught.value.hint) == (f"parameter x[0]: 'env.{name}': {why}", hint)


def test_no_variable_is_allowed_by_default_and_none_is_shown() -> None:
    with pytest.raises(MissingVariableError, match="the operator does not allow"):
        Variables({"A": "secret"}).check({("x",): {"from": "env.A"}})
    Variables({"A": "1"}, allowed=None).check({("x",): {"from": "env.A"}})


@pytest.mark.parametrize(
    ("source", "what"), [("run.id", "the id of the run"), ("revision", "the revision"), ("env.A", "an environment v")]
)
@pytest.mark.parametrize("key", ["format", "shift", "timezone", "default"])
def test_a_further_key_is_an_error_at_the_key(source: str, what: str, key: str) -> None:
    text = f"name: a\ncommand: [date]\nparameters:\n  x: [{{from: {source}, {key}: date}}]\n"
    (finding,) = read(text).findings
    assert (finding.severity, at(finding)[0], at(finding)[3]) == (
        Severity.ERROR,
        "InvalidReference",
        f"$.parameters.x[0].{key}",
    )
    assert at(finding)[1:3] == (4, 16 + len(source))
    assert finding.message.startswith(f"a reference to {what}")
    assert finding.hint == f"write {{from: {source}}}: it has only the key from"


NEAR_MISSES = [
    ("{from: run.idd}", "write {from: run.id}"),
    ("{from: run_id}", "write {from: run.id}"),
    ("{from: run.name}", "write {from: run.id}"),
    ("{From: run.id}", "write {from: run.id}"),
    ("{from: run.id, fmt: date}", "write {from: run.id}"),
    ("{from: run.revision}", "write {from: revision}"),
    ("{from: revison}", "write {from: revision}"),
    ("{from: commit}", "write {from: revision}"),
    ("{from: ENV.Home}", "write {from: env.Home}"),
    ("{from: environ.HOME}", "write {from: env.HOME}"),
    ("{from: env.}", "write {from: env.NAME}, where NAME is an environment variable of the controller"),
    ("{from: env}", "write {from: env.NAME}, where NAME is an environment variable of the controller"),
    ("{from: env.MY-VAR}", "write {from: env.NAME}, where NAME is an environment variable of the controller"),
]


@pytest.mark.parametrize(("mapping", "advice"), NEAR_MISSES)
def test_a_misspelt_reference_is_a_warning_with_advice_that_works(mapping: str, advice: str) -> None:
    text = "name: a\ncommand: [date]\nparameters:\n  x: "
    (finding,) = read(f"{text}{mapping}\n").findings
    assert (finding.severity, at(finding)) == (Severity.WARNING, ("InvalidReference", 4, 6, "$.parameters.x"))
    assert finding.hint == f"{advice}; if you mean a literal mapping, ignore this warning"
    assert found(f"{text}{advice.removeprefix('write ').partition(',')[0]}\n") == []


@pytest.mark.parametrize(
    ("hint", "reference", "message", "advice"),
    [
        ("str", "{from: run.id}", None, None),
        ("uuid.UUID", "{from: run.id}", None, None),
        ("str | None", "{from: revision}", None, None),
        ("int", "{from: env.A}", None, None),
        ("list[int]", "{from: env.A}", None, None),
        ("object", "{from: revision}", None, None),
        (
            "int",
            "{from: run.id}",
            "x: expected int, but the reference gives the id of the run",
            "this reference gives text: write a literal value, or use another type hint, such as str",
        ),
        (
            "date",
            "{from: revision}",
            "x: expected date, but the reference gives the revision",
            "this reference gives text: write a literal value, or use another type hint, such as str",
        ),
        (
            "list[str]",
            "{from: run.id}",
            "x: expected list[str], but the reference gives the id of the run",
            "write it as a YAML list: [{from: run.id}]",
        ),
        (
            "Literal['a']",
            "{from: revision}",
            "x: expected Literal['a'], but the reference gives the revision",
            "write a literal value: 'a'",
        ),
    ],
)
def test_validation_checks_what_a_reference_gives(
    hint: str, reference: str, message: str | None, advice: str | None
) -> None:
    imports = "import uuid\nfrom datetime import date\nfrom typing import Literal\n"
    code = WrittenCode({"flows/f.py": f"{imports}def main(x: {hint}): ...\n"})
    findings = read(f"name: a\nflow: flows/f.py:main\nparameters:\n  x: {reference}\n", code=code).findings
    assert [(each.message, each.hint) for each in findings] == ([] if message is None else [(message, advice)])


def test_a_reference_to_a_variable_is_none_to_an_upstream_deployment_with_the_name_env() -> None:
    after = "after: env\nparameters: {x: {from: env.A}, y: {from: env.result}}\n"
    findings = read(f"name: a\ncommand: [date]\nschedule: '@daily'\n{after}").findings
    assert "InvalidReference" not in {finding.code for finding in findings}


def test_the_name_of_a_run_gets_the_values_when_they_are_known() -> None:
    parameters = {"id": "0199-id", "region": {"from": "env.REGION"}}
    name = run_name("{id}-{region}", parameters, NOW, (), None)
    assert name == "0199-id-{region}"
    assert complete_name(name, parameters, {**parameters, "region": "eu"}) == "0199-id-eu"
