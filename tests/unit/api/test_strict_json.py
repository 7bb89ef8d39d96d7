"""JSON bodies are parsed strictly, with a clear message for every error."""

import pytest

from tests.unit.api.conftest import Served

DIGITS = b"9" * 5000


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"parameters": {"a": 1, "b": 2, "a": 3}}', "Duplicate key 'a'."),
        (b'{"parameters": {"a": 1}, "parameters": {"a": 2}}', "Duplicate key 'parameters'."),
        (b'{"parameters": {"a": [{"x\\u0079": 1, "xy": 1}]}}', "Duplicate key 'xy'."),
        (b'{"parameters": {"a": ' + DIGITS + b"}}", "a number has more than 4300 digits"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"parameters": ' * 20_000, "nested too deeply"),
        (b'{"parameters": "\xff"}', "not UTF-8"),
    ],
    ids=lambda value: repr(value[:30]),
)
@pytest.mark.parametrize("what", ["runs", "check"])
def test_errors_in_a_body_are_reported(served: Served, what: str, body: bytes, said: str) -> None:
    before = served.get("/api/v1/runs?deployment=add").json()["items"]
    answer = served.ask("POST", f"/api/v1/deployments/add/{what}", body, {"Content-Type": "application/json"})
    assert (answer.status, answer.json()["reason"]) == (422, "Usage")
    assert said in answer.json()["detail"]
    assert served.get("/api/v1/runs?deployment=add").json()["items"] == before


@pytest.mark.parametrize("path", ["/api/v1/reconcile", "/api/v1/approvals"])
def test_duplicate_keys_are_rejected_by_every_route(served: Served, path: str) -> None:
    body = b'{"wait": false, "wait": true, "digest": "", "digest": ""}'
    answer = served.ask("POST", path, body, {"Content-Type": "application/json"})
    assert (answer.status, answer.json()["detail"]) == (422, "Duplicate key 'wait'.")


def test_a_truncated_body_is_rejected_with_the_position(served: Served) -> None:
    answer = served.ask("POST", "/api/v1/reconcile", b'{"wait": ', {"Content-Type": "application/json"})
    assert (answer.status, "body" in answer.json()["detail"]) == (422, True)
