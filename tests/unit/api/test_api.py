"""Reading from the HTTP API of a real controller, directly and with `controller.client`."""

import re
import threading
from pathlib import Path

import pytest

from controller import __version__
from controller.api.dashboard.static_files import static_folder
from controller.client import Client, ProblemError
from controller.model.backfills import BackfillState
from controller.model.runs import RunState
from controller.queries.deployments import Health, Sync
from controller.queries.settings import MAX_FILES, KeptHistory, read_settings
from controller.settings import DEFAULT_MAX_RUNNING, Settings, locate
from controller.store import Store
from controller.store.state_directory import StateDirectory
from tests.conftest import wait_until
from tests.unit.api.conftest import DEPLOYMENTS, Served, messages


@pytest.fixture
def client(served: Served) -> Client:
    return Client(served.url, served.token)


def test_liveness_needs_no_token_but_readiness_does(served: Served) -> None:
    assert served.ask("GET", "/healthz", token=None).text == "ok\n"
    assert served.get("/readyz").json()["ready"] is True


def test_the_status_equals_that_of_the_command_line(served: Served) -> None:
    from controller.queries.serialization import to_json

    told = served.get("/api/v1/status").json()
    assert told == to_json(served.controller.status())
    assert {view["name"] for view in told["deployments"]} == {"add", "speak", "wait", "far"}


def test_the_settings_have_the_limits_and_the_size_of_the_state_but_no_secret(served: Served) -> None:
    answer = served.get("/api/v1/settings")
    settings = answer.json()
    assert (settings["version"], settings["repo"]) == (__version__, str(served.repository.path))
    assert settings["limits"]["max_running"] == DEFAULT_MAX_RUNNING
    assert settings["listen"]["url"] == served.url
    assert 0 < settings["state"]["database_bytes"] <= settings["state"]["bytes"]
    assert settings["state"]["is_complete"]
    assert settings["token_changed_at"] is not None
    assert [condition["type"] for condition in settings["conditions"]] == ["Ready"]
    page = served.get("/settings", Accept="text/html").text
    for text in (answer.text, page):
        assert served.token not in text
        assert (served.state / "token.sha256").read_text().strip() not in text


def test_the_size_of_a_large_state_is_a_lower_bound(tmp_path: Path, store: Store) -> None:
    for number in range(MAX_FILES + 50):
        (tmp_path / f"f{number}").write_bytes(b"12345")
    with store.read() as tx:
        view = read_settings(
            tx,
            Settings(location=locate(str(tmp_path), "deployments", None, str(tmp_path))),
            StateDirectory(tmp_path),
            history=KeptHistory(runs=1, days=1, events=1),
            url=None,
            session_seconds=1,
            web_url_template=None,
            standing=None,
        )
    assert not view.state.is_complete
    assert view.state.bytes >= 5 * (MAX_FILES - 10)
    assert view.listen is None


def test_an_unchanged_response_is_304(served: Served) -> None:
    for path in (
        "/api/v1/source",
        "/api/v1/deployments",
        "/api/v1/deployments/add",
        f"{static_folder()}/dashboard.css",
    ):
        tag = served.get(path).headers["etag"]
        again = served.get(path, If_None_Match=f'"x", {tag}')
        assert (again.status, again.body) == (304, b"")
        assert served.get(path, If_None_Match='"x"').status == 200


def test_deployments_can_be_searched_and_paged(client: Client, served: Served) -> None:
    assert [one["name"] for one in client.deployments(tag="sums")] == ["add"]
    assert [one["name"] for one in client.deployments(search="TWO numbers")] == ["add"]
    assert [one["name"] for one in client.deployments(sync="Invalid")] == []
    first = served.get("/api/v1/deployments?limit=3").json()
    rest = served.get(f"/api/v1/deployments?limit=3&cursor={first['next']}").json()
    assert (len(first["items"]), len(rest["items"]), rest["next"]) == (3, 1, None)
    assert len({one["name"] for one in first["items"] + rest["items"]}) == 4


def test_fire_times_follow_the_time_zone_of_the_schedule(served: Served) -> None:
    times = served.get("/api/v1/deployments/far/fire-times?limit=2&after=2027-01-01T00:00:00Z").json()
    assert times == {"fire_times": ["2028-02-28T23:00:00Z", "2032-02-28T23:00:00Z"], "waits": None}
    assert [row["deployment"] for row in served.get("/api/v1/fire-times").json()] == ["far"]
    assert served.get("/api/v1/deployments/far/occurrences").json() == {"items": [], "next": None}


def test_missing_parameters_are_reported(client: Client) -> None:
    assert [one["path"] for one in client.check("wait", {})] == [["path"]]


def test_a_form_has_types_defaults_and_choices(served: Served) -> None:
    form = served.get("/api/v1/deployments/add/form").json()
    found = {one["name"]: one for one in form["fields"]}
    assert [(one["name"], one["kind"], one["type"]) for one in form["fields"]] == [
        ("a", "integer", "int"),
        ("b", "integer", "int"),
        ("mode", "choice", "Literal['slow', 'fast']"),
    ]
    assert (found["a"]["is_given"], found["a"]["value"], found["a"]["required"]) == (True, 1, False)
    assert (found["b"]["default"], found["b"]["required"]) == ("2", False)
    assert found["mode"]["choices"] == ["slow", "fast"]
    assert form["is_open"] is False
    assert form["passed_as"] == "arguments"
    of_command = served.get("/api/v1/deployments/far/form").json()
    assert (of_command["is_open"], of_command["passed_as"]) == (True, "file")


def test_unknown_names_and_ids_are_not_found(client: Client, served: Served) -> None:
    for path in ("/deployments/ad", "/deployments/ad/form", "/deployments/ad/document", "/runs/" + "0" * 36):
        answer = served.get(f"/api/v1{path}")
        assert (answer.status, answer.json()["reason"]) == (404, "NotFound"), path
        assert answer.headers["content-type"] == "application/problem+json"
    for ask in (client.trigger, lambda name: client.check(name, {"a": 1})):
        for name in ("ad", "ADD"):
            with pytest.raises(ProblemError) as caught:
                ask(name)
            assert (caught.value.status, caught.value.hint) == (404, "Did you mean add?")


def test_parameters_of_a_never_valid_deployment_cannot_be_checked(fresh: Served) -> None:
    fresh.commit({"deployments/new.yaml": "name: new\ncommand: [echo]\nodd: 1\n"})
    answer = fresh.post("/api/v1/deployments/new/check", {"parameters": {}})
    assert (answer.status, "is not active: no version of it has been valid" in answer.json()["detail"]) == (422, True)


def test_a_browser_gets_an_error_page_for_an_unknown_name(served: Served) -> None:
    for name in ("ad", "ADD", "a..b", "a.", "A_d", "d" * 100):
        answer = served.get(f"/deployments/{name}", Accept="text/html")
        assert answer.status == 404, name
        assert "There is no deployment" in answer.text
        assert answer.headers["content-type"].startswith("text/html")


def test_events_and_runs_are_paginated(fresh: Served) -> None:
    for number in range(5):
        fresh.run("add", a=number)
    client = Client(fresh.url, fresh.token)
    every = list(client.events())
    assert [one["id"] for one in every] == sorted((one["id"] for one in every), reverse=True)
    assert [one["id"] for one in client.events(limit=2)] == [one["id"] for one in every]
    runs = [one["id"] for one in client.runs(limit=2)]
    assert (len(runs), runs) == (5, sorted(runs, reverse=True))
    assert len(list(client.runs(tag="sums", trigger="manual", state=["succeeded", "failed"]))) == 5
    commit = fresh.repository.head()
    assert len(list(client.runs(revision=commit[:10]))) == 5
    assert list(client.runs(revision="abcdef")) == list(client.runs(tag="none")) == []
    assert list(client.runs(since="tomorrow")) == list(client.runs(until="2020-01-01")) == []
    assert list(client.runs(trigger="schedule")) == list(client.runs(until="2020-01-01T00:00:00Z")) == []


def test_an_unknown_ref_or_one_that_looks_like_an_option_is_rejected(served: Served) -> None:
    for ref in ("nowhere", "--upload-pack=x", "a..b", "%0a", "ext::sh"):
        assert served.get(f"/api/v1/plan?ref={ref}").status in (404, 422), ref


def test_a_log_is_streamed_while_it_is_written(served: Served, tmp_path: Path) -> None:
    client = Client(served.url, served.token)
    run = client.trigger("wait", {"path": str(tmp_path / "go")})["run_id"]
    told = messages(served, f"/api/v1/runs/{run}/logs/stream")
    event, number, data = next(told)
    assert (event, data["text"]) == ("log", "waiting\n")
    (tmp_path / "go").touch()
    rest = list(told)
    assert "".join(data["text"] for event, _, data in rest if event == "log") == "done waiting\n"
    assert rest[-1][0] == "end"
    assert rest[-1][2] == {"state": "succeeded"}
    again = list(messages(served, f"/api/v1/runs/{run}/logs/stream", Last_Event_ID=number))
    assert again[0][2]["text"] == "done waiting\n"


def test_a_log_stream_with_tail_starts_with_the_last_lines(served: Served) -> None:
    run = served.run("speak", text="0123456\n", times=100_000)["id"]
    path = f"/api/v1/runs/{run}/logs/stream"
    (event, number, data), end = messages(served, f"{path}?tail=3")
    assert (event, data["text"], data["size"], number) == ("log", "0123456\n" * 3, 800_000, "800000")
    assert end[0] == "end"
    assert [one[0] for one in messages(served, f"{path}?tail=0")] == ["end"]
    # Last-Event-ID takes precedence over `tail`: a client that reconnects resumes there.
    again = list(messages(served, f"{path}?tail=3", Last_Event_ID="799992"))
    assert [one[2].get("text") for one in again] == ["0123456\n", None]
    assert served.get(f"{path}?tail=10001").status == 422


def test_parts_of_a_log_never_split_a_character(served: Served) -> None:
    run = served.run("speak", text="é€𝄞\n", times=100)
    text, offset = "", 0
    while True:
        part = served.get(f"/api/v1/runs/{run['id']}/logs?offset={offset}&limit=7").json()
        if not part["text"]:
            break
        text, offset = text + part["text"], part["next_offset"]
    assert text == "é€𝄞\n" * 100
    assert served.get(f"/api/v1/runs/{run['id']}/logs?tail=2").json()["text"] == "é€𝄞\n" * 2
    raw = served.get(f"/api/v1/runs/{run['id']}/logs/raw")
    assert raw.text == text
    assert raw.headers["content-disposition"].startswith("attachment")


def test_attempts_are_separated_in_the_text_and_not_in_the_raw_file(fresh: Served) -> None:
    document = "name: twice\ncommand: [sh, -c, 'printf é; exit 1']\nretries: {limit: 1, delay: 1s, jitter: 0}\n"
    fresh.repository.commit({"deployments/twice.yaml": document})
    wait_until(lambda: fresh.get("/api/v1/deployments/twice").status == 200)
    run = fresh.run("twice")["id"]
    told = fresh.get(f"/api/v1/runs/{run}/logs").json()
    line = r"\[controller: attempt 2, started [0-9: -]{19} UTC, after attempt 1 failed\]"
    assert re.fullmatch(rf"é\n{line}\né", told["text"])
    assert told["size"] == told["next_offset"] == len(told["text"].encode())
    pieces, offset = "", 0
    while part := fresh.get(f"/api/v1/runs/{run}/logs?offset={offset}&limit=5").json():
        if not part["text"]:
            break
        pieces, offset = pieces + part["text"], part["next_offset"]
    assert pieces == told["text"]
    streamed = [data["text"] for kind, _, data in messages(fresh, f"/api/v1/runs/{run}/logs/stream") if kind == "log"]
    assert "".join(streamed) == told["text"]
    assert fresh.get(f"/api/v1/runs/{run}/logs/raw").text == "éé"


def test_events_are_streamed_and_a_stream_resumes_after_the_last_event(fresh: Served) -> None:
    told = messages(fresh, "/api/v1/events/stream")
    assert next(told)[0] == "change"
    fresh.post("/api/v1/deployments/far/hold", {"reason": "one"})
    _, number, data = next(one for one in told if one[0] == "event")
    assert (data["reason"], str(data["id"])) == ("Held", number)
    fresh.post("/api/v1/deployments/far/resume")
    again = messages(fresh, "/api/v1/events/stream", Last_Event_ID=number)
    assert next(again)[2]["reason"] == "Resumed"


def test_simultaneous_requests_are_all_answered(served: Served) -> None:
    statuses: list[int] = []

    def look() -> None:
        statuses.extend(served.get(path).status for path in ("/api/v1/status", "/", "/api/v1/runs", "/deployments"))

    threads = [threading.Thread(target=look) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 64


def test_metrics_are_available_for_prometheus(served: Served) -> None:
    answer = served.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'controller_deployments_sync{sync="Synced"} 4' in answer.text
    assert 'controller_source_condition{type="Ready"} 1' in answer.text
    assert "controller_withheld_deletions 0" in answer.text


def test_metrics_with_the_value_zero_are_present(served: Served) -> None:
    lines = served.get("/metrics").text.splitlines()
    values = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}
    named = values.keys()
    states = {state.value for state in RunState} - {"launching"}
    kinds: dict[str, set[str]] = {
        'controller_runs{state="': states,
        'controller_backfills{state="': {one.value for one in BackfillState},
        'controller_backfill_due_times{state="': {"waiting", "running", "done", "failed", "cancelled"},
        'controller_deployments_sync{sync="': {one.value for one in Sync},
        'controller_deployments_health{health="': {one.value for one in Health},
        # The other conditions are those of deployments.
        'controller_source_condition{type="': {"Ready", "Reconciling", "Stalled", "PruneWithheld", "StorageFull"},
    }
    for begin, words in kinds.items():
        assert {one for one in named if one.startswith(begin)} == {f'{begin}{word}"}}' for word in words}
    assert values['controller_runs{state="crashed"}'] == 0
    assert values['controller_deployments_sync{sync="Invalid"}'] == 0


def test_an_invalid_manifest_is_reported_with_its_location(fresh: Served) -> None:
    fresh.commit({"deployments/all.yaml": DEPLOYMENTS.replace("parameters: {a: 1}", "parameters: {a: 1}\ntagss: [x]")})
    view = Client(fresh.url, fresh.token).deployment("add")
    assert (view["sync"], [one["code"] for one in view["findings"]]) == ("Invalid", ["UnknownKey"])
    page = fresh.get("/", Accept="text/html").text
    assert "add is not valid" in page


def test_the_openapi_document_describes_the_api(served: Served) -> None:
    document = served.get("/api/v1/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert document["security"] == [{"token": []}]
    assert "/api/v1/runs/{run_id}" in document["paths"]
    assert [path for path in document["paths"] if not path.startswith("/api/v1/")] == [
        "/healthz",
        "/readyz",
        "/metrics",
        "/hooks/git",
        "/hooks/{name}",
    ]


def test_a_controller_with_open_requests_stops_quickly(fresh: Served) -> None:
    stream = messages(fresh, "/api/v1/events/stream")
    next(stream)
    fresh.controller._web.close()
    wait_until(lambda: list(stream) is not None)


def test_a_run_has_its_tasks(fresh: Served) -> None:
    flow = "from controller import flow, task\n@task\ndef one(n):\n    return n\n@flow\ndef whole():\n    one(1)\n"
    fresh.commit({"flows/tasks.py": flow, "deployments/tasks.yaml": "name: tasks\nflow: flows/tasks.py:whole\n"})
    run = fresh.run("tasks")
    assert run["state"] == "succeeded", run
    assert [(one["name"], one["state"]) for one in run["tasks"] if one["kind"] == "task"] == [("one", "succeeded")]
    assert "one" in fresh.get(f"/runs/{run['id']}", Accept="text/html").text
