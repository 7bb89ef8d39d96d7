"""Nesting limits of parameters and results: new values that are too deep are rejected, stored ones are shown."""

import json
from dataclasses import replace
from typing import Any

import pytest

from controller.cli.state_access import connected_client
from controller.errors import UsageError
from controller.model.runs import RunId
from controller.queries.serialization import depth, to_json
from controller.store import runs
from tests.unit.api.conftest import Served

PAGES = ("/api/v1/runs", "/api/v1/status", "/api/v1/runs/{}", "/runs/{}", "/runs", "/", "/deployments/add")


def nested(levels: int) -> Any:
    """Return a value nested in this number of lists."""
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("levels", [32, 500, 900])
@pytest.mark.parametrize("deployment", ["far", "wait"])
def test_parameters_nested_too_deeply_create_no_run(served: Served, deployment: str, levels: int) -> None:
    before = served.get(f"/api/v1/runs?deployment={deployment}").json()["items"]
    body = {"parameters": {"path": nested(levels)}}
    answer = served.post(f"/api/v1/deployments/{deployment}/runs", body)
    assert (answer.status, answer.json()["reason"]) == (422, "Usage")
    assert "nested deeper than 32 levels" in answer.json()["detail"]
    checked = served.post(f"/api/v1/deployments/{deployment}/check", body)
    assert checked.status == 422
    assert served.get(f"/api/v1/runs?deployment={deployment}").json()["items"] == before


def test_parameters_may_be_nested_as_deeply_as_a_manifest(served: Served) -> None:
    made = served.post("/api/v1/deployments/far/runs", {"parameters": {"path": nested(31)}})
    assert made.status == 201
    assert served.wait_for(made.json()["run_id"])["parameters"] == {"path": nested(31)}


@pytest.mark.parametrize("levels", [64, 500, 940])
def test_stored_values_that_are_too_deep_are_shown_partially(served: Served, levels: int) -> None:
    made = served.run("add", a=1)["id"]
    with served.controller._store.write() as tx:
        found = runs.find(tx, made)
        assert found is not None
        old = RunId(f"01a20a24-34e0-7000-97e2-{levels:012}")
        runs.insert_all(tx, [replace(found, id=old, parameters={"a": nested(levels)}, result=nested(levels))])
    for page in PAGES:
        assert served.get(page.format(old)).status == 200, page
    shown = served.get(f"/api/v1/runs/{old}").json()
    assert json.dumps(shown["parameters"]["a"]).startswith("[" * 60)


def test_a_deeply_nested_result_is_shown(served: Served) -> None:
    flow = "def deep():\n    value = 1\n    for _ in range(900):\n        value = [value]\n    return value\n"
    served.commit({"flows/deep.py": flow, "deployments/deep.yaml": "name: deep\nflow: flows/deep.py:deep\n"})
    run = served.run("deep")
    assert (run["state"], run["result"][:33]) == ("succeeded", "[" * 33)
    for page in PAGES:
        assert served.get(page.format(run["id"])).status == 200, page


def test_the_command_line_rejects_parameters_nested_too_deeply(served: Served) -> None:
    location = served.controller._settings.location
    with pytest.raises(UsageError, match="nested deeper than 32 levels"), connected_client(location) as client:
        client.trigger("far", {"path": nested(500)})


def test_the_depth_of_a_value_is_that_of_its_lists_and_objects() -> None:
    values: list[Any] = [1, "[[", [], [[]], {"a": [1, {"b": {}}]}]
    assert [depth(one) for one in values] == [0, 0, 1, 2, 4]
    assert depth({"a": nested(5000)}) == 5001


def test_serialization_handles_any_depth() -> None:
    assert json.dumps(to_json(nested(199))) == "[" * 199 + "1" + "]" * 199
    assert json.dumps(to_json(nested(5000))) == "[" * 200 + '"\\u2026"' + "]" * 200
