"""The page of a deployment: what its heading says, its tabs, and the inputs of its run form."""

import html
import re
from typing import Any

import pytest

from controller.api.dashboard.deployment_filters import slowness, success_rate
from controller.model.runs import RunState
from tests.conftest import NOW
from tests.unit.api.conftest import Served
from tests.unit.store.test_records import run

FLOW = """
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import TypedDict

@dataclass
class Window:
    days: int
    since: date = date(2026, 1, 1)
    tags: list[str] = field(default_factory=list)

class Limits(TypedDict, total=False):
    rows: int

def main(
    day: date, at: datetime, clock: time, window: Window = Window(7), limits: Limits | None = None,
    count: int = 24 * 60, age: timedelta = timedelta(hours=2), big: int = 1, odd: date = date(2026, 1, 1),
) -> str:
    raise ValueError("no data")
"""
REPORT = """
name: report
flow: flows/report.py:main
description: The weekly report.
tags: [weekly]
parameters:
  day: "2026-03-01"
  at: "2026-03-01T12:00:00+02:00"
  clock: "10:00"
  window: {days: 3}
  big: "9007199254740993"
schedules: [{cron: "0 9 * * *", timezone: Europe/Berlin}]
"""
STARTED = """
name: alert
command: [a]
after: {deployments: [{deployment: far, on: failed}], any: true}
---
name: refund
command: [a]
on: [{webhook: {name: stripe, secret: {env: STRIPE}}}]
---
name: load
command: [a]
on: [{files: {path: /srv/inbox, pattern: "*.csv"}}]
---
name: both
command: [a]
after: refund
on: [{webhook: {name: both, secret: {env: STRIPE}}}]
"""
SECTIONS = {
    "runs": "history",
    "schedule": "calendar",
    "definition": "declared",
    "parameters": "parameter-history",
    "events": "its-events",
}


def page_of(served: Served, path: str) -> str:
    return served.get(path, Accept="text/html").text


def sentence(served: Served, name: str) -> str:
    """Return the text of the state sentence, with times as `TIME`."""
    page = page_of(served, f"/deployments/{name}")
    text = page.partition('class="state-sentence">')[2].partition("</p>")[0]
    return " ".join(re.sub(r"<[^>]*>", " ", re.sub(r"<time.*?</time>", "TIME", text)).split())


def test_the_first_screen_says_whether_it_works_since_when_why_and_when_next(served: Served) -> None:
    assert sentence(served, "far") == "No runs yet next run TIME"
    assert sentence(served, "add") == "No runs yet no schedule: it runs only on request"
    served.commit({"flows/report.py": FLOW, "deployments/report.yaml": REPORT})
    assert served.run("report")["state"] == "failed"
    assert sentence(served, "report") == "The last run failed TIME next run TIME"
    last = served.run("report")
    assert sentence(served, "report") == "Failing since TIME, 2 in a row next run TIME"
    page = page_of(served, "/deployments/report")
    assert re.search(rf'<a href="/runs/{last["id"]}" title="ValueError: no data">', page)
    assert "The weekly report." in page
    served.post("/api/v1/deployments/report/hold", {"reason": "a look"})
    assert sentence(served, "report").endswith("Held: no schedule fires until you resume the deployment")
    served.post("/api/v1/deployments/report/resume")
    served.run("add")
    assert sentence(served, "add").startswith("The last run succeeded TIME")
    served.commit({"deployments/off.yaml": f"{REPORT}suspend: true\n".replace("name: report", "name: off")})
    assert sentence(served, "off") == "No runs yet Suspended in git: no schedule fires"


def test_a_deployment_without_schedules_says_what_starts_it(served: Served) -> None:
    served.commit({"deployments/started.yaml": STARTED})
    starts = {
        "alert": "after far (failed)",
        "refund": "for requests to /hooks/stripe",
        "load": "for new files in /srv/inbox that match *.csv",
        "both": "after refund (succeeded); for requests to /hooks/both",
    }
    for name, text in starts.items():
        assert sentence(served, name).endswith(f"runs {text}")
        page = page_of(served, f"/deployments/{name}?tab=schedule")
        assert f"No schedule: this deployment runs {text}." in page
        assert "only on request" not in page
    served.post("/api/v1/deployments/both/hold", {"reason": "a look"})
    assert sentence(served, "both").endswith("Held: nothing starts runs until you resume the deployment")


def test_each_tab_has_a_url_and_only_its_own_content(served: Served) -> None:
    for tab, section in SECTIONS.items():
        page = page_of(served, f"/deployments/add?tab={tab}")
        assert [other for other in SECTIONS.values() if f'id="{other}"' in page] == [section]
        [current] = re.findall(r'<nav class="tabs".*?<a href="([^"]*)" aria-current="page">', page, re.DOTALL)
        assert current.partition("?tab=")[2] == ("" if tab == "runs" else tab)
        assert 'id="run-form"' in page
    unknown = page_of(served, "/deployments/add?tab=x")
    assert "Unknown tab" in html.unescape(unknown)
    assert 'id="history"' in unknown


def field(page: str, name: str) -> str:
    start = page.index(f'data-field="{name}"')
    return page[start : page.index('class="error"', start)]


def test_the_form_has_native_inputs_with_declared_values_and_defaults(served: Served) -> None:
    served.commit({"flows/report.py": FLOW, "deployments/report.yaml": REPORT})
    page = html.unescape(page_of(served, "/deployments/report"))
    for name, kind, value in (
        ("day", "date", "2026-03-01"),
        ("at", "datetime-local", "2026-03-01T10:00:00"),
        ("clock", "time", "10:00:00"),
        ("count", "number", ""),
        ("age", "text", ""),
        ("big", "text", "9007199254740993"),
        ("odd", "date", ""),
    ):
        assert f'type="{kind}"' in field(page, name), name
        assert f'value="{value}"' in field(page, name), name
    assert '<option value="UTC" selected>' in field(page, "at")
    assert 'placeholder="default: 24 * 60"' in field(page, "count")
    assert 'placeholder="default: timedelta(hours=2)"' in field(page, "age")
    assert 'default: <span class="mono">date(2026, 1, 1)</span>' in field(page, "odd")
    assert 'data-kind="object"' in field(page, "window")
    assert 'default, if all are empty: <span class="mono">Window(7)</span>' in field(page, "window")
    assert 'value="3"' in field(page, "days")
    assert 'placeholder="default: list()"' in field(page, "tags")
    assert 'data-kind="integer"' in field(page, "rows")
    assert "data-null" not in field(page, "age")


def test_the_api_describes_formats_and_the_fields_of_classes(served: Served) -> None:
    served.commit({"flows/report.py": FLOW, "deployments/report.yaml": REPORT})
    fields = {one["name"]: one for one in served.get("/api/v1/deployments/report/form").json()["fields"]}
    formats = {name: one["format"] for name, one in fields.items() if one["format"]}
    assert formats == {"day": "date", "at": "date-time", "clock": "time", "age": "duration", "odd": "date"}
    window = fields["window"]
    assert (window["kind"], window["value"], window["has_default"]) == ("json", {"days": 3}, True)
    inner = [(one["name"], one["kind"], one["default"], one["has_default"]) for one in window["fields"]]
    assert inner == [
        ("days", "integer", None, False),
        ("since", "text", "date(2026, 1, 1)", True),
        ("tags", "json", "list()", True),
    ]


def test_a_check_reports_all_errors(served: Served) -> None:
    served.commit({"flows/report.py": FLOW, "deployments/report.yaml": REPORT})
    parameters: dict[str, Any] = {
        "day": "x",
        "at": {"from": "due_time", "shift": "soon"},
        "window": {"tags": [[]]},
        "count": "many",
        "unknown": 1,
    }
    response = served.post("/api/v1/deployments/report/check", {"parameters": parameters})
    paths = {tuple(error["path"][:2]) for error in response.json()["errors"]}
    assert {path[0] for path in paths} == set(parameters)
    assert ("window",) in paths, "days is missing"
    assert ("window", "tags") in paths


def test_the_fields_of_a_deployment_have_their_commits(served: Served) -> None:
    served.repository.commit({"deployments/said.yaml": "name: said\ncommand: [echo]\n"}, message="Say it")
    served.repository.commit(
        {"deployments/said.yaml": "name: said\ncommand: [echo]\ntags: [a]\n"}, message="<b>Tag</b>"
    )
    served.post("/api/v1/reconcile", {"wait": True})
    items = served.get("/api/v1/deployments/said/fields").json()["items"]
    assert [(item["name"], item["line"], item["changed_in"]["subject"]) for item in items] == [
        ("name", 1, "Say it"),
        ("command", 2, "Say it"),
        ("tags", 3, "<b>Tag</b>"),
    ]
    page = page_of(served, "/deployments/said?tab=definition")
    assert "&lt;b&gt;Tag&lt;/b&gt;" in page.partition('id="declared"')[2]
    assert "<b>" not in page
    assert served.get("/api/v1/deployments/nobody/fields").status == 404


@pytest.mark.parametrize(
    ("succeeded", "failed", "text"),
    [(5, 0, "100 %"), (0, 5, "0 %"), (9_999, 1, "99.9 %"), (1, 9_999, "0.1 %"), (2, 1, "66.7 %"), (1, 1, "50 %")],
)
def test_a_success_rate_is_100_percent_only_without_failures(succeeded: int, failed: int, text: str) -> None:
    assert success_rate(succeeded, succeeded + failed) == text


@pytest.mark.parametrize(
    ("took", "median", "text"), [(9, 3, "3.0"), (8.9, 3, ""), (40, 3, "13"), (0.9, 0.1, ""), (9, None, "")]
)
def test_a_run_is_slow_from_three_times_the_median_on(took: float, median: float | None, text: str) -> None:
    assert slowness(run(state=RunState.SUCCEEDED, took=took), median, NOW) == text
