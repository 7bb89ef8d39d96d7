"""Query parameters of lists: pagination works, and invalid parameters are rejected instead of ignored."""

import pytest

from controller.api.http.protocol import MAX_PAGE_BYTES
from controller.client import Client
from tests.unit.api.conftest import Served

RUN = "01a20a24-34e0-7000-97e2-82f65b2a00a9"
LISTS = ("deployments?search=a", "runs?deployment=add", "events?severity=info", "deployments/far/occurrences?limit=5")
REFUSED = "The cursor does not belong to this list."


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    "cursor",
    ["0", "-1", "x", "", "%00", "%ff", "1" * 60, "0.add", RUN, "1.00000000", f"{RUN}.00000000", "2026-01-01T00:00:00Z"],
)
def test_an_invalid_cursor_is_rejected(served: Served, path: str, cursor: str) -> None:
    answer = served.get(f"/api/v1/{path}&cursor={cursor}")
    assert (answer.status, answer.json()["detail"]) == (422, REFUSED)
    assert "`next`" in answer.json()["hint"]


def test_a_cursor_is_valid_with_the_same_filters_only(fresh: Served) -> None:
    for number in range(3):
        fresh.run("add", a=number)
    found = fresh.get("/api/v1/runs?state=succeeded&state=failed&tag=sums&limit=1").json()
    [first], cursor = found["items"], found["next"]
    same = fresh.get(f"/api/v1/runs?cursor={cursor}&tag=sums&state=failed&state=succeeded&limit=2").json()
    assert [run["id"] < first["id"] for run in same["items"]] == [True, True]
    for questions in ("", "tag=sums", "state=succeeded&tag=sums", "state=succeeded&state=failed&tag=other"):
        answer = fresh.get(f"/api/v1/runs?{questions}&cursor={cursor}")
        assert (answer.status, answer.json()["detail"]) == (422, REFUSED), questions
    events = fresh.get("/api/v1/events?limit=1").json()["next"]
    assert (
        fresh.get(f"/api/v1/events?limit=1&cursor={events}").json()["items"][0]["id"] == int(events.split(".")[0]) - 1
    )
    of_run = fresh.get(f"/api/v1/events?run={first['id']}&tag=sums&reason=Triggered&severity=info").json()["items"]
    assert [(event["run_id"], event["tags"]) for event in of_run] == [(first["id"], ["sums", "tests"])]
    assert fresh.get(f"/api/v1/events?after_id={of_run[0]['id']}&tag=sums").json()["items"] == []
    for path in ("runs", "deployments", "deployments/far/occurrences"):
        assert fresh.get(f"/api/v1/{path}?cursor={events}").status == 422, path


def test_a_page_of_runs_with_large_parameters_ends_early(fresh: Served) -> None:
    client = Client(fresh.url, fresh.token)
    texts = [
        str(number) * size for number, size in enumerate((10, 400_000, 500_000, 300_000, 900_000, 20, 1_000_000, 30))
    ]
    made = [client.trigger("speak", {"text": text, "times": 0})["run_id"] for text in texts][::-1]
    cursor: str | None = ""
    pages = []
    while cursor is not None:
        answer = fresh.get("/api/v1/runs?limit=100" + (f"&cursor={cursor}" if cursor else ""))
        assert len(answer.body) < 2 * MAX_PAGE_BYTES
        pages.append([run["id"] for run in answer.json()["items"]])
        cursor = answer.json()["next"]
    assert [one for page in pages for one in page] == made
    assert [len(page) for page in pages] == [3, 1, 2, 2]
    assert [run["parameters"]["text"] for run in client.runs()] == texts[::-1]
    assert [run["id"] for run in client.runs(limit=1)] == made


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("runs?stat=failed", "stat"),
        ("runs?state=failed&State=failed", "State"),
        ("deployments?tags=x", "tags"),
        ("deployments/add?x", "x"),
        ("events/stream?x=1", "x"),
        ("status?=1", ""),
        ("runs?limi%ff=1", "limi\ufffd"),
        ("runs?" + "x" * 5000, "x" * 40 + "…"),
    ],
)
def test_an_unknown_query_parameter_is_rejected(served: Served, path: str, name: str) -> None:
    answer = served.get(f"/api/v1/{path}")
    assert (answer.status, answer.json()["detail"]) == (422, f"Unknown query parameter {name!r}.")


def test_the_hint_lists_the_allowed_query_parameters(served: Served) -> None:
    hint = "Allowed: backfill, cursor, deployment, limit, revision, since, state, tag, trigger, until."
    assert served.get("/api/v1/runs?stat=failed").json()["hint"] == hint
    assert served.get("/api/v1/status?x=1").json()["hint"] == "This endpoint has no query parameters."
    for path in ("/api/v1/deployments/add/check?x=1", "/api/v1/deployments/far/resume?x=1"):
        assert served.post(path, {}).status == 422


@pytest.mark.parametrize(
    "path", ["runs?limit=1&limit=2", "runs?deployment=add&deployment=far", "events?about=a&about=a"]
)
def test_a_repeated_query_parameter_is_rejected(served: Served, path: str) -> None:
    answer = served.get(f"/api/v1/{path}")
    assert (answer.status, "more than once" in answer.json()["detail"]) == (422, True)
    assert served.get("/api/v1/runs?state=failed&state=crashed").status == 200


@pytest.mark.parametrize("limit", ["0", "-1", "501", "1000000000", "9" * 400, "", "1.5", "%D9%A3", "x"])
@pytest.mark.parametrize(
    "path", ["runs", "deployments", "events", "passes", "fire-times", "deployments/add/occurrences"]
)
def test_a_limit_is_a_number_within_bounds(served: Served, path: str, limit: str) -> None:
    assert served.get(f"/api/v1/{path}?limit={limit}").status == 422


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
def test_a_body_without_a_json_content_type_is_rejected(served: Served, kind: str) -> None:
    for path in ("deployments/add/check", "deployments/add/runs", "reconcile", "approvals"):
        answer = served.ask("POST", f"/api/v1/{path}", b"{}", {"Content-Type": kind})
        assert (answer.status, answer.json()["reason"]) == (415, "UnsupportedMediaType"), path
        assert "Content-Type: application/json" in answer.json()["detail"]
    for good in ("application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"):
        assert served.ask("POST", "/api/v1/deployments/add/check", b"{}", {"Content-Type": good}).status == 200


def test_the_due_times_of_an_unknown_deployment_are_not_found(served: Served) -> None:
    answer = served.get("/api/v1/deployments/ad/occurrences")
    assert (answer.status, answer.json()["hint"]) == (404, "Did you mean add?")


@pytest.mark.parametrize("body", [b"&".join(b"a%d=1" % n for n in range(100)), b"%" * 100, b"&" * 1000, b"\xff=\xff"])
def test_an_invalid_login_form_is_rejected_like_a_wrong_token(served: Served, body: bytes) -> None:
    kind = {"Content-Type": "application/x-www-form-urlencoded", "Origin": served.url}
    assert served.ask("POST", "/login", body, kind, token=None).status == 401


def test_all_invalid_query_parameters_are_reported(served: Served) -> None:
    answer = served.get("/api/v1/runs?limit=0&state=odd")
    assert (answer.status, answer.json()["reason"]) == (422, "Usage")
    assert answer.json()["detail"].startswith("query state 0: Input should be ")
    assert answer.json()["detail"].endswith("; query limit: Input should be greater than or equal to 1")


def test_in_the_order_of_names_each_deployment_is_on_one_page_despite_changes(fresh: Served) -> None:
    fresh.commit({"deployments/last.yaml": "name: zero\ncommand: ['false']\n"})
    first = fresh.get("/api/v1/deployments?order=name&limit=2").json()
    assert fresh.run("zero")["state"] == "failed"
    rest = fresh.get(f"/api/v1/deployments?order=name&limit=10&cursor={first['next']}").json()
    assert [one["name"] for one in (*first["items"], *rest["items"])] == ["add", "far", "speak", "wait", "zero"]
    assert rest["next"] is None
    assert fresh.get("/api/v1/deployments?limit=1").json()["items"][0]["name"] == "zero"
