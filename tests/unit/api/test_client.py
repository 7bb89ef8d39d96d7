"""The Python client: its types match the OpenAPI document, the Unix socket needs no token, errors are distinct."""

import getpass
import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints, is_typeddict

import pytest

from controller.app.controller import Controller
from controller.app.stop_signal import StopSignal
from controller.client import Client, NoAnswerError, ProblemError, shapes
from controller.client.connection import Endpoint
from controller.client.shapes import (
    Activity,
    Approved,
    Attention,
    BackfillDetail,
    Backfilled,
    BackfillProgress,
    BulkResult,
    ChangedRun,
    Deployment,
    DeploymentDetail,
    Document,
    Fault,
    Form,
    LogLines,
    LogPart,
    LogSearch,
    NextFire,
    NumberedEvent,
    Occurrence,
    Pass,
    Plan,
    PythonEnvironment,
    PythonEnvironmentDetail,
    RecordedCommit,
    Run,
    RunComparison,
    RunDetail,
    RunsInProgress,
    SearchResult,
    Source,
    Status,
    StatusSummary,
    Triggered,
)
from controller.settings import Settings, locate
from tests.conftest import GitRepository, wait_until
from tests.unit.api.conftest import Served
from tests.unit.api.openapi import document

ANSWERS = {
    "GET /status": Status,
    "GET /leadership": shapes.Leadership,
    "GET /source": Source,
    "GET /summary": StatusSummary,
    "GET /settings": shapes.Settings,
    "GET /search": list[SearchResult],
    "GET /graph": shapes.GraphView,
    "GET /activity": list[Activity],
    "GET /attention": list[Attention],
    "GET /in-progress": RunsInProgress,
    "GET /passes": list[Pass],
    "GET /hosts": list[shapes.Host],
    "POST /hosts/{name}/lost": shapes.LostHost,
    "GET /python": list[PythonEnvironment],
    "GET /python/{digest}": PythonEnvironmentDetail,
    "GET /commits": list[RecordedCommit],
    "GET /plan": Plan,
    "GET /fire-times": list[NextFire],
    "POST /approvals": Approved,
    "GET /deployments": list[Deployment],
    "GET /deployments/{name}": DeploymentDetail,
    "GET /deployments/{name}/occurrences": list[Occurrence],
    "GET /deployments/{name}/form": Form,
    "POST /deployments/{name}/check": list[Fault],
    "GET /deployments/{name}/document": Document,
    "POST /deployments/{name}/runs": Triggered,
    "POST /deployments/{name}/backfill": Backfilled,
    "POST /deployments/{name}/hold": DeploymentDetail,
    "POST /deployments/{name}/resume": DeploymentDetail,
    "GET /runs": list[Run],
    "GET /runs/{run_id}": RunDetail,
    "GET /runs/{run_id}/diff": RunComparison,
    "POST /runs/{run_id}/cancel": ChangedRun,
    "POST /runs/{run_id}/retry": Triggered,
    "POST /runs/bulk/cancel": BulkResult,
    "POST /runs/bulk/retry": BulkResult,
    "GET /runs/{run_id}/logs": LogPart,
    "GET /runs/{run_id}/logs/lines": LogLines,
    "GET /runs/{run_id}/logs/search": LogSearch,
    "GET /backfills": list[BackfillProgress],
    "GET /backfills/{backfill_id}": BackfillDetail,
    "POST /backfills/{backfill_id}/pause": BackfillProgress,
    "POST /backfills/{backfill_id}/resume": BackfillProgress,
    "POST /backfills/{backfill_id}/cancel": BackfillProgress,
    "GET /events": list[NumberedEvent],
    "GET /notifications/messages": list[shapes.NotificationMessage],
    "GET /notifications/channels": list[shapes.ChannelStatus],
    "GET /notifications/incidents": list[shapes.Incident],
    "POST /notifications/channels/{name}/test": shapes.NotificationMessage,
}
"""The return type for each endpoint. Lists are the items of a page, or the only field of a response."""
SIMPLE = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def test_every_response_of_the_api_has_a_type() -> None:
    asked = {
        f"{method.upper()} {path.removeprefix('/api/v1')}"
        for path, item in document()["paths"].items()
        for method in item
        if path.startswith("/api/v1/")
    }
    # Endpoints that return text, a stream, or a single field that a method returns directly.
    by_themselves = {
        "GET /deployments/{name}/fields",
        "GET /deployments/{name}/fire-times",
        "GET /runs/{run_id}/logs/raw",
        "GET /runs/{run_id}/logs/stream",
        "GET /events/stream",
        "POST /reconcile",
        "POST /login-links",
    }
    assert asked - by_themselves == set(ANSWERS)


@pytest.mark.parametrize("asked", ANSWERS)
def test_the_types_are_those_of_the_openapi_document(asked: str) -> None:
    method, _, path = asked.partition(" ")
    responses = document()["paths"][f"/api/v1{path}"][method.lower()]["responses"]
    [found] = [one["content"]["application/json"]["schema"] for code, one in responses.items() if code.startswith("2")]
    hint: Any = ANSWERS[asked]
    schema = resolved(found)
    if get_origin(hint) is list and schema.get("type") == "object":
        schema = resolved(next(one for name, one in schema["properties"].items() if name in ("items", "errors")))
    assert differences(hint, schema, asked) == []


def differences(hint: Any, given: dict[str, Any], where: str) -> list[str]:  # noqa: PLR0911
    """Return the places where a type and a schema differ."""
    schema = resolved(given)
    if hint is Any:
        return [] if "properties" not in schema else [f"{where}: Any for an object"]
    if is_typeddict(hint):
        if where.endswith(".fields[].fields[]"):
            return []  # a field can have fields, which are of the same type
        hints = get_type_hints(hint)
        if set(hints) != set(schema["properties"]):
            return [f"{where}: {sorted(set(hints) ^ set(schema['properties']))}"]
        return [
            one
            for name, inner in hints.items()
            for one in differences(inner, schema["properties"][name], f"{where}.{name}")
        ]
    if "anyOf" in schema:
        hints_of, schemas = list(get_args(hint)), list(schema["anyOf"])
        if len(hints_of) != len(schemas):
            return [f"{where}: {hint} is not {schema}"]
        return [one for pair in zip(hints_of, schemas, strict=True) for one in differences(*pair, where)]
    if get_origin(hint) is list:
        return differences(get_args(hint)[0], schema.get("items", {}), f"{where}[]")
    if get_origin(hint) is dict:
        return [] if schema["type"] == "object" and "properties" not in schema else [f"{where}: {hint}"]
    if get_origin(hint) is Literal:
        return [] if list(get_args(hint)) == schema.get("enum", [schema.get("const")]) else [f"{where}: {hint}"]
    return [] if SIMPLE[hint] == schema.get("type") else [f"{where}: {hint} is not {schema}"]


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """Resolve a reference to a component of the document."""
    if "$ref" not in schema:
        return schema
    component: dict[str, Any] = document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return component


def test_the_socket_needs_no_token_and_identifies_the_user(fresh: Served) -> None:
    client = Client.of_state(fresh.state)
    held = client.hold("far", "it moves")
    assert held["hold"] is not None
    assert held["hold"]["author"] == getpass.getuser()
    made = client.trigger("add", {"a": 3}, idempotency_key="ключ 1")
    assert client.trigger("add", {"a": 3}, idempotency_key="ключ 1") == made
    assert client.wait(made["run_id"])["result"] == 5
    [told] = [event for event in client.events(about="add") if event["reason"] == "Triggered"]
    assert told["message"] == f"{getpass.getuser()} triggered run {made['run_id']}."
    assert [one["name"] for one in client.form("add")["fields"]] == ["a", "b", "mode"]
    assert client.document("add")["document"]["name"] == "add"
    assert client.fire_times("far") == []
    assert client.next_fires() == []
    assert client.resume("far")["held"] is False
    assert client.fire_times("far", limit=2, after="2027-01-01T00:00:00Z")[0] == "2028-02-28T23:00:00Z"
    assert list(client.occurrences("far")) == []
    assert client.passes(limit=1)[0]["counts"]["new"] == 4


def test_without_an_address_the_socket_works_even_with_a_long_path(repository: GitRepository, tmp_path: Path) -> None:
    repository.commit({"deployments/a.yaml": "name: a\ncommand: [echo]\n"})
    state = tmp_path / ("long" * 30) / "state"
    settings = Settings(location=locate(str(repository.path), "deployments", None, str(state)), listen=None)
    controller = Controller(settings, StopSignal())
    controller.start()
    try:
        client = Client.of_state(state)
        wait_until(lambda: [one["name"] for one in client.deployments()] == ["a"])
        with pytest.raises(ProblemError, match="does not serve the dashboard"):
            client.login_link()
    finally:
        controller.stop()
    assert not (state / "control.sock").exists()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost"}, 200),
        ({"Host": "localhost:4200"}, 421),
        ({"Host": "evil.example"}, 421),
        ({"Host": "localhost", "Origin": "http://evil.example"}, 403),
        ({"Host": "localhost", "Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}, 403),
        ({"Host": "localhost", "Cookie": "a=b"}, 403),
        ({"Host": "localhost", "Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_a_browser_request_forwarded_to_the_socket_is_rejected(
    served: Served, headers: dict[str, str], status: int
) -> None:
    endpoint = Endpoint(served.state / "control.sock")
    with closing(endpoint._connect(20)) as connection:
        with suppress(BrokenPipeError):  # the server may reject the head before the body is sent
            connection.request(
                "POST", "/api/v1/deployments/add/check", b"{}", {"Content-Type": "application/json", **headers}
            )
        assert connection.getresponse().status == status


def test_a_header_cannot_fake_the_peer_of_the_socket(served: Served) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)) as connection:
        connection.request("GET", "/api/v1/status", headers={"Peer": "root", "X-Peer": "root"})
        assert connection.getresponse().status == 401


def test_streams_raise_an_error_when_the_controller_stops(fresh: Served, tmp_path: Path) -> None:
    client = Client.of_state(fresh.state)
    run = client.trigger("wait", {"path": str(tmp_path / "go")})["run_id"]
    events, log = client.follow_events(last_id=0), client.follow_log(run)
    assert next(events).event == "event"
    assert next(log).data["text"] == "waiting\n"
    fresh.controller.stop()
    (tmp_path / "go").touch()
    for told in (events, log):
        with pytest.raises(NoAnswerError):
            list(told)


def test_requests_that_cannot_be_sent_are_rejected_like_by_the_controller(served: Served) -> None:
    client = Client.of_state(served.state)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for parameters in ({"a": float("nan")}, {"a": deep}, {"a": {1, 2}}):
        with pytest.raises(ProblemError) as caught:
            client.trigger("add", parameters)
        assert caught.value.status == 422
    for key in ("", "x" * 201, "two\nlines", " before", "after "):
        with pytest.raises(ProblemError, match="idempotency key"):
            client.trigger("add", {"a": 1}, idempotency_key=key)
    assert list(client.deployments(search="\ud800")) == []
    for name in ("a/b", "..", "", "no%2F", "n\u00e9\U0001f600", "two\nlines", "\udcff"):
        with pytest.raises(ProblemError, match="There is no deployment") as caught:
            client.trigger(name)
        assert caught.value.status == 404
    with pytest.raises(ProblemError) as caught:
        client.trigger("speak", {"text": "x" * (1 << 20)})
    assert (caught.value.status, caught.value.hint) == (413, "Write large inputs to a file and pass its path.")
    assert json.loads(json.dumps(client.check("add", {"b": "x"})))[0]["path"] == ["b"]


def test_a_page_request_forwarded_to_the_socket_is_rejected(served: Served) -> None:
    endpoint = Endpoint(served.state / "control.sock")
    with closing(endpoint._connect(20)) as connection:
        connection.request("GET", "/", headers={"Accept": "text/html", "Sec-Fetch-Mode": "navigate"})
        assert connection.getresponse().status == 403


def test_many_clients_connect_to_a_controller_that_has_just_started(repository: GitRepository, tmp_path: Path) -> None:
    repository.commit({"deployments/a.yaml": "name: a\ncommand: [echo]\n"})
    location = locate(str(repository.path), "deployments", None, str(tmp_path / "state"))
    controller = Controller(Settings(location=location, listen=None), StopSignal())
    controller.start()
    try:
        client = Client.of_state(tmp_path / "state")
        with ThreadPoolExecutor(150) as pool:
            found = list(pool.map(lambda _: client.source()["repo"], range(150)))
    finally:
        controller.stop()
    assert found == [str(repository.path)] * 150
