"""Backfills on the dashboard and in the metrics: their pages, the runs of a due time, and parameters from due times."""

import re
from typing import Any

import pytest

from controller.client import Client
from tests.conftest import wait_until
from tests.unit.api.conftest import Served

FLOW = """
from datetime import date


def load(day: date, days: list[str] = [], limit: int = 5) -> int:
    if day.day == 2:
        raise ValueError(f"no data for {day}")
    return limit
"""
DAILY = """
name: daily
flow: flows/daily.py:load
parameters:
  day: {from: due_time, format: date}
  days: [{from: due_time, format: "%Y/%m"}]
schedules: [{cron: "0 6 * * *", timezone: Europe/Berlin}]
"""


def page_of(served: Served, path: str) -> str:
    answer = served.get(path, Accept="text/html")
    assert answer.status == 200, answer
    return re.sub(r"\s+", " ", answer.text)


def declared(name: str) -> dict[str, str]:
    """Return the files of a daily deployment of this name."""
    return {f"flows/{name}.py": FLOW, f"deployments/{name}.yaml": DAILY.replace("daily", name)}


def start(served: Served, name: str = "daily", **fields: Any) -> str:
    """Backfill the first three days of March, of which the second fails, and return the id of the backfill."""
    served.commit(declared(name))
    body = {"since": "2026-03-01", "until": "2026-03-04", **fields}
    return str(served.post(f"/api/v1/deployments/{name}/backfill", body).json()["backfill_id"])


def wait_for_end(served: Served, backfill_id: str) -> Any:
    last: list[Any] = [None]

    def has_ended() -> bool:
        last[0] = served.get(f"/api/v1/backfills/{backfill_id}").json()
        return last[0]["finished_at"] is not None

    wait_until(has_ended)
    return last[0]


def runs_of(served: Served, backfill_id: str, state: str) -> Any:
    return served.get(f"/api/v1/runs?backfill={backfill_id}&state={state}").json()["items"]


@pytest.fixture(scope="module")
def failed(served: Served) -> str:
    """The id of a backfill of `daily` that has ended, with one failed run. Tests only look at it."""
    backfill_id = start(served)
    assert wait_for_end(served, backfill_id)["state"] == "failed"
    return backfill_id


def test_without_backfills_the_page_explains_how_to_start_one(fresh: Served) -> None:
    assert "No backfills yet." in page_of(fresh, "/backfills")
    assert "No backfills match." in page_of(fresh, "/backfills?deployment=nobody")
    assert fresh.get(f"/backfills/{'0' * 36}", Accept="text/html").status == 404


def test_a_backfill_shows_its_progress_and_its_failed_due_times(served: Served, failed: str) -> None:
    first = failed
    [run] = runs_of(served, first, "failed")
    for path in ("/backfills", f"/backfills/{first}"):
        assert 'aria-label="2 done, 1 failed of 3 due times"' in page_of(served, path)
    page = page_of(served, f"/backfills/{first}")
    assert "All 3 due times have finished." in page
    assert f'href="/runs/{run["id"]}"' in page
    assert "ValueError: no data for 2026-03-02" in page
    assert f'data-body="{{&#34;backfill&#34;: &#34;{first}&#34;}}"' in page
    assert "/pause" not in page
    assert f'Backfill <a class="mono" href="/backfills/{first}">' in page_of(served, "/events")


def test_the_api_returns_what_failed_and_what_is_left(served: Served, failed: str) -> None:
    ended = served.get(f"/api/v1/backfills/{failed}").json()
    [failure] = ended["failures"]
    [run] = runs_of(served, failed, "failed")
    assert failure == {
        "due_time": "2026-03-02T05:00:00Z",
        "run_id": run["id"],
        "state": "failed",
        "reason": run["reason"],
    }
    assert (ended["unfinished"], ended["more_failures"], ended["more_unfinished"]) == ([], 0, 0)
    [listed] = served.get("/api/v1/backfills?deployment=daily").json()["items"]
    assert listed == {key: value for key, value in ended.items() if key in listed}
    assert ended.keys() - listed.keys() == {"failures", "more_failures", "unfinished", "more_unfinished"}


def test_runs_are_retried_and_cancelled_by_filters_over_the_api(served: Served) -> None:
    backfill_id = start(served, "filtered")
    wait_for_end(served, backfill_id)
    client = Client(served.url, served.token)
    filters: dict[str, Any] = {"backfill": backfill_id, "state": ["failed"], "since": "yesterday"}
    dry = client.retry_matching(dry_run=True, **filters)
    assert (dry["count"], dry["runs"]) == (1, [])
    assert dry["matches"] == [{"deployment": "filtered", "state": "failed", "count": 1, "reason": None}]
    narrower: tuple[tuple[dict[str, Any], int], ...] = (
        ({"trigger": "manual"}, 0),
        ({"until": "yesterday"}, 0),
        ({"revision": "f" * 40}, 0),
        ({}, 1),
    )
    for more, count in narrower:
        matches = client.retry_matching(dry_run=True, **filters, **more)["matches"]
        assert sum(match["count"] for match in matches) == count, more
    for count in (1, 0):
        result = client.retry_matching(idempotency_key="k", cursor=dry["next"], **filters)
        assert (result["count"], result["next"]) == (count, None)
    assert client.cancel_matching(dry_run=True, backfill="0" * 36)["count"] == 0
    for body, detail in (
        ({}, "The request selects no runs."),
        ({"dry_run": True}, "The request selects no runs."),
        ({"run_ids": [], "tag": "a"}, "Pass `run_ids` or filters, but not both."),
        ({"tag": "a", "cursor": "b"}, "The cursor is invalid."),
        ({"state": ["running"]}, "The request applies to finished runs only, not to those in state running."),
    ):
        answer = served.post("/api/v1/runs/bulk/retry", body)
        assert (answer.status, answer.json()["detail"]) == (422, detail), body


def test_backfills_are_listed_page_by_page_and_by_deployment(served: Served) -> None:
    first = start(served, "listed")
    wait_for_end(served, first)
    ids = [start(served, "listed", redo="all", parallel=3), first]
    wait_for_end(served, ids[0])
    page = page_of(served, "/backfills?deployment=listed")
    assert re.findall(r'href="/backfills/([0-9a-f-]{36})"', page) == ids
    older = page_of(served, f"/backfills?deployment=listed&before={ids[0]}")
    assert re.findall(r'href="/backfills/([0-9a-f-]{36})"', older) == ids[1:]
    assert ">Newest</a>" in older


def test_a_paused_backfill_can_be_resumed_and_cancelled(fresh: Served) -> None:
    slow = FLOW.replace("    if day", "    __import__('time').sleep(600)\n    if day")
    fresh.commit({**declared("daily"), "flows/daily.py": slow})
    backfill = fresh.post("/api/v1/deployments/daily/backfill", {"since": "2026-03-01", "until": "2026-03-04"}).json()
    path = f"/backfills/{backfill['backfill_id']}"
    assert f'data-post="/api/v1{path}/pause"' in page_of(fresh, path)
    assert fresh.post(f"/api/v1{path}/pause").status == 200
    title = '<a href="/backfills">Backfills</a> <span'
    overview = page_of(fresh, "/").partition(title)[2].partition("</ul>")[0]
    assert re.findall(r'href="([^"]+)" title="daily">daily</a>', overview) == [path]
    assert "paused" in overview
    assert "of 3 due times" in overview
    page = page_of(fresh, path)
    assert f'data-post="/api/v1{path}/resume"' in page
    assert "Cancel this backfill?" in page
    text = fresh.get("/metrics").text
    assert 'controller_backfills{state="paused"} 1' in text
    assert 'controller_backfills{state="running"} 0' in text
    left = re.findall(r'controller_backfill_due_times\{state="(?:waiting|running)"\} (\d)\.0', text)
    assert sum(map(int, left)) == 3
    fresh.post(f"/api/v1{path}/cancel")
    assert title not in page_of(fresh, "/")


def test_the_metrics_of_due_times_do_not_count_ended_backfills(fresh: Served) -> None:
    wait_for_end(fresh, start(fresh))
    lines = fresh.get("/metrics").text.splitlines()
    assert 'controller_backfills{state="failed"} 1.0' in lines
    assert 'controller_backfill_due_times{state="done"} 0.0' in lines


def test_runs_are_filtered_by_a_backfill_and_by_a_part_of_its_id(served: Served, failed: str) -> None:
    backfill = failed
    other = served.run("add")["id"]
    for text in (backfill, backfill[-12:]):
        page = page_of(served, f"/runs?backfill={text}")
        assert len(re.findall(r'<input type="checkbox" data-select value="', page)) == 3
        assert other not in page
        assert f'<a href="/backfills/{backfill}">' in page
    page = page_of(served, "/runs?backfill=unknown")
    assert "Unknown backfill" in page
    assert other in page


def test_the_runs_of_a_due_time_are_shown_with_it_and_on_the_run_page(served: Served) -> None:
    backfill = start(served, "redone")
    wait_for_end(served, backfill)
    [failed] = runs_of(served, backfill, "failed")
    served.commit({"flows/redone.py": FLOW.replace("day.day == 2", "False")})
    retry = served.post(f"/api/v1/runs/{failed['id']}/retry", {"latest": True}).json()["run_id"]
    assert served.wait_for(retry)["state"] == "succeeded"
    links = [f'href="/runs/{run_id}"' for run_id in (failed["id"], retry)]
    page = page_of(served, "/deployments/redone")
    history = page.partition('id="history"')[2].partition("</section>")[0].partition("<tbody>")[2]
    assert history.index(links[1]) < history.index(links[0])
    assert history.count("{&#34;due_time&#34;: &#34;2026-03-02T05:00:00Z&#34;}") == 1, (
        "only the newest run of a due time"
    )
    run = page_of(served, f"/runs/{failed['id']}?tab=details").partition("<main")[2]
    assert "runs of this due time" in run
    assert links[1] in run
    assert f'href="/backfills/{backfill}"' in run
    [ledger] = [
        row
        for row in served.get("/api/v1/deployments/redone/occurrences").json()["items"]
        if row["scheduled_for"] == "2026-03-02T05:00:00Z"
    ]
    assert [(row["run_id"], row["state"]) for row in ledger["runs"]] == [(failed["id"], "failed"), (retry, "succeeded")]


def test_the_form_shows_the_value_that_a_reference_to_the_due_time_has_now(served: Served) -> None:
    served.commit(declared("formed"))
    fields = {field["name"]: field for field in served.get("/api/v1/deployments/formed/form").json()["fields"]}
    today = fields["day"]["resolved"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", today)
    assert (fields["day"]["kind"], fields["day"]["value"]) == ("text", {"from": "due_time", "format": "date"})
    assert fields["days"]["resolved"] == [today[:7].replace("-", "/")]
    assert fields["limit"]["resolved"] is None
    page = page_of(served, "/deployments/formed")
    assert f'For a run now it is <span class="mono">{today}</span>' in page
    assert page.count("Computed from the due time") == 2
    assert served.run("formed")["parameters"]["day"] == today
    assert served.run("formed", day="2026-03-05")["parameters"]["day"] == "2026-03-05"


def test_a_deployment_without_schedules_has_no_backfill_form(served: Served) -> None:
    assert 'id="backfill-form"' not in page_of(served, "/deployments/add")
    assert 'id="backfill-form"' in page_of(served, "/deployments/far")
    assert "Not available: without a schedule" in page_of(served, "/deployments/add")


def test_a_retry_without_a_body_uses_the_commit_of_the_run(served: Served) -> None:
    run = served.run("add")
    assert served.ask("POST", f"/api/v1/runs/{run['id']}/retry").status == 201
