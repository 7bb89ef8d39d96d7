"""Parameters that refer to the run and to variables of the controller: the form, requests, and what flows get."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from controller.trigger_settings import TriggerSettings
from tests.conftest import new_repository
from tests.unit.api.conftest import Served, serve

FLOW = """
from controller import flow, get_run_context


@flow
def main(a: str, b: list[str], c: str) -> list[object]:
    context = get_run_context()
    return [a == context.run_id, c == context.revision, b]
"""
DOCUMENT = """
name: referring
flow: flows/referring.py:main
parameters:
  a: {from: run.id}
  b: [{from: env.SERVED_REGION}, {from: due_time, format: date}]
  c: {from: revision}
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    top = tmp_path_factory.mktemp("referring")
    repository = new_repository(top / "repo")
    repository.commit({"flows/referring.py": FLOW, "deployments/referring.yaml": DOCUMENT})
    triggers = TriggerSettings(parameter_variables=("SERVED_REGION", "SERVED_GONE"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SERVED_REGION", "eu")
        patch.setenv("SERVED_SECRET", "hidden")
        instance = serve(repository, top / "state", triggers=triggers)
        yield instance
        instance.controller.stop()


def refusal(served: Served, **parameters: Any) -> tuple[int, str, str]:
    answer = served.post("/api/v1/deployments/referring/runs", {"parameters": parameters})
    error = answer.json()
    return answer.status, error["detail"], error["hint"]


def test_the_form_shows_what_only_a_run_has_as_a_reference(served: Served) -> None:
    fields = {field["name"]: field for field in served.get("/api/v1/deployments/referring/form").json()["fields"]}
    assert fields["a"]["resolved"] == fields["a"]["value"] == {"from": "run.id"}
    [variable, today] = fields["b"]["resolved"]
    assert variable == {"from": "env.SERVED_REGION"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", today)
    page = re.sub(r"\s+", " ", served.get("/deployments/referring", Accept="text/html").text)
    shown = '<span class="mono">{&#34;from&#34;: &#34;run.id&#34;}</span>'
    assert f"Known when the run is created: {shown}; enter another value" in page
    assert page.count("Computed from the due time") == 1


def test_a_flow_gets_the_values_and_the_run_records_them(served: Served) -> None:
    run = served.run("referring")
    assert (run["parameters"]["a"], run["parameters"]["c"]) == (run["id"], run["revision"])
    assert run["parameters"]["b"][0] == "eu"
    assert run["result"] == [True, True, run["parameters"]["b"]]


def test_a_request_that_refers_to_another_variable_is_refused(served: Served) -> None:
    assert refusal(served, a={"from": "env.SERVED_SECRET"}) == (
        422,
        "Parameter a: 'env.SERVED_SECRET': the operator does not allow this variable.",
        "Start the controller with --parameter-env SERVED_SECRET, or pass a value for it.",
    )
    assert refusal(served, b=[{"from": "env.SERVED_GONE"}]) == (
        422,
        "Parameter b[0]: 'env.SERVED_GONE': this variable is not set.",
        "Set SERVED_GONE in the environment of the controller, or pass a value for it.",
    )
    assert refusal(served, a={"from": "run.id", "format": "date"})[:2] == (
        422,
        "a.format: a reference to the id of the run has no key 'format'.",
    )
