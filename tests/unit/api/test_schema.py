"""The API conforms to its OpenAPI document for generated requests, and never returns 500.

schemathesis generates the requests from the document. Streams are excluded: they do not end. Each run sends those that
follow from every parameter and body: valid and invalid values, and values at the bounds. A thorough run also sends
random ones.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.routing import APIRoute
from hypothesis import HealthCheck, settings
from requests import Session
from schemathesis.checks import not_a_server_error
from schemathesis.generation.hypothesis.builder import HypothesisTestConfig, create_test
from schemathesis.generation.hypothesis.builder import HypothesisTestMode as Mode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from controller.api.http.application import API
from controller.model.python_environments import PythonEnvironment, PythonState
from controller.store import python_environments
from tests.thoroughness import THOROUGH
from tests.unit.api.conftest import Served
from tests.unit.api.openapi import document, schema

OPERATIONS = sorted(
    (method, route.path)
    for router in API
    for route in router.routes
    if isinstance(route, APIRoute) and not route.path.endswith("/stream")
    for method in route.methods or ()
)
SETTINGS = settings(
    max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
MODES = [Mode.EXAMPLES, Mode.COVERAGE, *([Mode.FUZZING] if THOROUGH else [])]


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """A session, so that all requests use one connection."""
    with Session() as session:
        yield session


# The threads of the controller use `random` during the test; hypothesis mistakes that for use by a strategy.
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_response_conforms_to_the_document(served: Served, session: Session, method: str, path: str) -> None:
    def check(case: Any) -> None:
        case.headers.pop("Authorization", None)
        token = {"Authorization": f"Bearer {served.token}"}
        answer = case.call(base_url=served.url, session=session, headers=token, timeout=60)
        checks = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
        case.validate_response(answer, checks=checks)

    # Not with `parametrize` of schemathesis, which derives all requests already when the tests are collected.
    config = HypothesisTestConfig(project=schema().config, modes=MODES, explicit_settings=SETTINGS)
    create_test(operation=schema()[path][method], test_func=check, config=config)()


@pytest.mark.parametrize("name", ["add", "speak", "wait", "far"])
def test_responses_about_existing_deployments_match_their_schemas(served: Served, name: str) -> None:
    served.run("add", a=1)
    for path in ("", "/fire-times", "/occurrences", "/form", "/document"):
        operation = schema()[f"/api/v1/deployments/{{name}}{path}"]["GET"]
        case = operation.Case(path_parameters={"name": name})
        answer = case.call(base_url=served.url, headers={"Authorization": f"Bearer {served.token}"}, timeout=60)
        case.validate_response(answer, checks=[response_schema_conformance, content_type_conformance])


def record_python_environment(served: Served) -> None:
    environment = PythonEnvironment(
        request="f" * 64,
        declared_at="x",
        state=PythonState.WAITING,
        reason="Building",
        message="",
        created_at=served.controller._clock.now(),
    )
    with served.controller._store.write() as tx:
        python_environments.insert_new(tx, environment)


def test_the_media_types_of_all_get_routes_are_documented(served: Served) -> None:
    served.run("add", a=1)  # an earlier run to compare with
    run = served.run("add", a=2)["id"]
    due = {"since": "2024-02-01", "until": "2024-03-01"}
    backfill = served.post("/api/v1/deployments/far/backfill", due).json()["backfill_id"]
    kinds = set()
    record_python_environment(served)
    for path, item in document()["paths"].items():
        if "get" in item:
            filled = path.replace("{name}", "add").replace("{run_id}", run)
            filled = filled.replace("{backfill_id}", backfill).replace("{digest}", "f" * 64)
            parameters = item["get"].get("parameters", ())
            queries = [one["name"] for one in parameters if one["in"] == "query" and one["required"]]
            filled += "?" + "&".join(f"{name}=a" for name in queries) if queries else ""
            for wanted in ("*/*", "text/yaml"):
                answer = served.ask("HEAD", filled, headers={"Accept": wanted})
                kind = answer.headers["content-type"].partition(";")[0]
                assert (answer.status, kind in item["get"]["responses"]["200"]["content"]) == (200, True), path
                kinds.add(kind)
    assert kinds == {"application/json", "application/octet-stream", "text/event-stream", "text/plain", "text/yaml"}
