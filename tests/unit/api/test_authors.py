"""Events, holds and runs name the person who acted on the dashboard."""

from urllib.parse import quote

from tests.unit.api.conftest import Served

EVIL = "  Ada\n<b>\x1b[31m" + "x" * 100


def test_the_dashboard_records_the_name_that_its_user_has_set(served: Served) -> None:
    headers = {"Cookie": served.log_in(), "Origin": served.url, "X-Controller-Author": quote("Ada Lovelace")}
    made = served.ask("POST", "/api/v1/deployments/add/runs", {}, headers, token=None)
    run_id = made.json()["run_id"]
    served.wait_for(run_id)
    assert served.get(f"/api/v1/runs/{run_id}").json()["author"] == "dashboard: Ada Lovelace"
    page = served.get(f"/runs/{run_id}?tab=details", Accept="text/html").text
    assert "<dt>triggered by</dt><dd>dashboard: Ada Lovelace</dd>" in page
    again = served.ask("POST", f"/api/v1/runs/{run_id}/retry", {}, headers, token=None).json()["run_id"]
    assert served.wait_for(again)["author"] == "dashboard: Ada Lovelace"


def test_a_name_is_one_short_printable_line_and_others_cannot_set_it(served: Served) -> None:
    headers = {"Cookie": served.log_in(), "Origin": served.url, "X-Controller-Author": quote(EVIL)}
    served.ask("POST", "/api/v1/deployments/far/hold", {"reason": "r"}, headers, token=None)
    author = served.get("/api/v1/deployments/far").json()["hold"]["author"]
    assert author.startswith("dashboard: Ada <b>\\x1b[31mxxx")
    assert len(author) == len("dashboard: ") + 50
    assert served.ask("POST", "/api/v1/deployments/far/resume", {}, headers, token=None).status == 200
    assert served.post("/api/v1/deployments/far/hold", {"reason": "r"}, X_Controller_Author="Ada").status == 200
    assert served.get("/api/v1/deployments/far").json()["hold"]["author"] == "api"
    foreign = {**headers, "Origin": "https://evil.example"}
    assert served.ask("POST", "/api/v1/deployments/far/resume", {}, foreign, token=None).status == 403


def test_problems_with_one_cause_are_one_group(served: Served) -> None:
    assert served.post("/api/v1/deployments/far/hold", {"reason": "a problem"}).status == 200
    page = served.get("/api/v1/attention").json()
    assert sum(group["count"] for group in page["groups"]) == page["total"] > 0
    assert page["groups"][0].keys() == {"code", "kind", "title", "cause", "since", "count", "subjects"}
    assert [group["title"] for group in served.get("/api/v1/status").json()["problems"]] == [
        group["title"] for group in page["groups"]
    ]
