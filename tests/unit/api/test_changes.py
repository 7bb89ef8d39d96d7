"""Changes over HTTP with the client: runs, holds, reconcile passes and approvals, and their error messages."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from controller.client import Client, ProblemError
from tests.conftest import GitRepository
from tests.unit.api.conftest import Served, messages, serve


@pytest.fixture
def client(served: Served) -> Client:
    return Client(served.url, served.token)


def test_a_run_is_triggered_and_followed(client: Client) -> None:
    made = client.trigger("add", {"a": 40})
    done = client.wait(made["run_id"])
    assert (done["state"], done["result"], done["parameters"]) == ("succeeded", 42, {"a": 40})
    assert [(one["number"], one["state"]) for one in done["history"]] == [(1, "succeeded")]
    assert client.log(made["run_id"]) == "adding 40 and 2\n"
    assert next(client.runs(deployment="add"))["id"] == made["run_id"]


def test_the_same_key_returns_the_same_run(client: Client) -> None:
    one = client.trigger("add", {"a": 2}, idempotency_key="k1")
    assert client.trigger("add", {"a": 2}, idempotency_key="k1")["run_id"] == one["run_id"]
    with pytest.raises(ProblemError, match="is already used by run") as caught:
        client.trigger("add", {"a": 3}, idempotency_key="k1")
    assert caught.value.status == 422


@pytest.mark.parametrize(
    ("parameters", "path", "code"),
    [
        ({"a": "many"}, ["a"], "WrongParameterType"),
        ({"aa": 1}, ["aa"], "UnknownParameter"),
        ({"mode": "sideways"}, ["mode"], "WrongParameterType"),
    ],
)
def test_invalid_parameters_create_no_run(
    client: Client, served: Served, parameters: dict[str, Any], path: list[str], code: str
) -> None:
    before = len(served.get("/api/v1/runs?deployment=add&limit=500").json()["items"])
    assert [(one["path"], one["code"]) for one in client.check("add", parameters)] == [(path, code)]
    with pytest.raises(ProblemError) as caught:
        client.trigger("add", parameters)
    assert (caught.value.status, caught.value.reason) == (422, "Usage")
    assert [one["path"] for one in caught.value.errors] == [path]
    assert len(served.get("/api/v1/runs?deployment=add&limit=500").json()["items"]) == before


def test_holding_and_resuming(served: Served) -> None:
    client = Client(served.url, served.token)
    until = served.controller._clock.now() + timedelta(hours=1)
    held = client.hold("far", "it moves", until.isoformat())
    assert held["hold"] is not None
    assert (held["held"], held["hold"]["reason"], held["hold"]["author"]) == (True, "it moves", "api")
    assert client.resume("far")["held"] is False
    with pytest.raises(ProblemError, match="not held") as caught:
        client.resume("far")
    assert (caught.value.status, caught.value.reason) == (409, "Conflict")
    assert [one["reason"] for one in client.events(about="far")][:2] == ["Resumed", "Held"]


def test_plan_of_a_ref_and_approval_of_withheld_deletions(fresh: Served) -> None:
    client = Client(fresh.url, fresh.token)
    manifests = {f"deployments/m{n}.yaml": f"name: m{n}\ncommand: [echo]\n" for n in range(10)}
    fresh.commit(manifests)
    for path in manifests:
        (fresh.repository.path / path).unlink()
    fresh.commit({})
    withheld, plan = client.status()["withheld"], client.plan()
    assert withheld is not None
    assert plan["withheld"] is not None
    assert plan["withheld"]["digest"] == withheld["digest"]
    assert plan["summary"]["delete"] == 10
    assert client.plan("HEAD~1")["summary"]["delete"] == 0
    with pytest.raises(ProblemError) as caught:
        client.approve("sha256:" + "0" * 64)
    assert caught.value.status == 404
    short = withheld["digest"].removeprefix("sha256:")
    with pytest.raises(ProblemError, match="at least 12 characters") as caught:
        client.approve(short[:11])
    assert (caught.value.status, withheld["digest"] in str(caught.value.hint)) == (422, True)
    assert len(client.approve(short[:12])["deleted"]) == 10
    assert client.status()["withheld"] is None
    found = fresh.get("/api/v1/deployments/m3/document", Accept="text/yaml")
    assert found.text == "name: m3\ncommand: [echo]\n"
    assert fresh.get("/api/v1/deployments/m3/document").json()["document"]["name"] == "m3"
    gone = fresh.get("/api/v1/deployments/m3")
    assert (gone.status, gone.json()["reason"], "it was deleted at" in gone.json()["detail"]) == (404, "NotFound", True)
    assert "`controller restore m3`" in gone.json()["hint"]


def test_a_requested_pass_is_run(served: Served) -> None:
    served.repository.commit({"deployments/new.yaml": "name: brand-new\ncommand: [echo]\n"})
    assert Client(served.url, served.token).reconcile(wait=True) is True
    assert served.get("/api/v1/deployments/brand-new").status == 200
    assert served.get("/api/v1/passes?limit=1").json()[0]["counts"]["new"] == 1


def test_a_run_is_cancelled_and_retried(served: Served, tmp_path: Path) -> None:
    client = Client(served.url, served.token)
    run = client.trigger("wait", {"path": str(tmp_path / "go")})["run_id"]
    assert next(messages(served, f"/api/v1/runs/{run}/logs/stream"))[0] == "log"
    with pytest.raises(ProblemError, match="has not finished") as early:
        client.retry(run)
    assert early.value.status == 409
    client.cancel(run, "not today")
    ended = client.wait(run)
    assert (ended["state"], ended["reason"]) == ("cancelled", "not today")
    assert client.cancel(run, "again") == {"run_id": run, "state": "cancelled"}
    assert client.run(run)["reason"] == "not today"
    (tmp_path / "go").touch()
    again = client.wait(client.retry(run, idempotency_key="once")["run_id"])
    assert (again["state"], again["trigger"], again["retry_of"]) == ("succeeded", "retry", run)
    assert client.retry(run, idempotency_key="once")["run_id"] == again["id"]
    with pytest.raises(ProblemError, match="is already used by run") as other:
        client.retry(again["id"], idempotency_key="once")
    assert (other.value.status, other.value.reason) == (422, "Usage")
    assert ">Retry</button>" in served.get(f"/runs/{run}", Accept="text/html").text


def test_a_finished_run_cannot_be_cancelled(served: Served) -> None:
    for run in (served.run("add"), served.run("speak", text=1, times=-1)):
        answer = served.post(f"/api/v1/runs/{run['id']}/cancel")
        assert (answer.status, answer.json()["reason"]) == (409, "Conflict"), run
        assert f"already finished: {run['state']}" in answer.json()["detail"]


@pytest.mark.parametrize("reason", ["two\nlines", "bell\a", "\x1b[31mred", "\u202eevil", " ", "\u2028", "\x00"])
def test_every_reason_must_be_one_line(served: Served, reason: str) -> None:
    made = served.post("/api/v1/deployments/wait/runs", {"parameters": {"path": "/nowhere"}}).json()["run_id"]
    for path in ("deployments/far/hold", f"runs/{made}/cancel"):
        answer = served.post(f"/api/v1/{path}", {"reason": reason})
        assert (answer.status, answer.json()["detail"]) == (
            422,
            "The reason must be one line of 1 to 500 characters, without control characters.",
        )
    assert served.post(f"/api/v1/runs/{made}/cancel", {"reason": " no more "}).status == 200
    assert served.wait_for(made)["reason"] == "no more"
    assert served.get("/api/v1/deployments/far").json()["held"] is False


def test_a_past_range_is_backfilled(served: Served) -> None:
    client = Client(served.url, served.token)
    found = client.backfill("far", "2020-01-01T00:00:00Z", "2025-01-01T00:00:00Z", dry_run=True)
    assert (found["times"], found["run_ids"]) == (["2020-02-28T23:00:00Z", "2024-02-28T23:00:00Z"], [])
    assert client.backfill("far", "2020-01-01", "now", dry_run=True)["times"][: len(found["times"])]
    done = client.backfill("far", "2020-01-01T00:00:00Z", "2025-01-01T00:00:00Z", most=1)
    assert (len(done["run_ids"]), done["left_out"]) == (1, 1)
    assert client.wait(done["run_ids"][0])["scheduled_for"] == "2024-02-28T23:00:00Z"


def test_the_plan_of_a_directory_follows_links_as_its_controller_does(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "deployments").mkdir(parents=True)
    (folder / "shared.yaml").write_text("name: linked\ncommand: ['true']\n", encoding="utf-8")
    (folder / "deployments" / "linked.yaml").symlink_to("../shared.yaml")
    served = serve(GitRepository(folder), tmp_path / "state")
    try:
        assert served.get("/api/v1/deployments/linked").status == 200
        plan = served.get("/api/v1/plan").json()
        assert (plan["changes"], plan["findings"]) == ([], [])
    finally:
        served.controller.stop()
