"""Forms and labels of the dashboard in a real browser."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.dashboard.visitor import log_in, log_in_by_link
from tests.acceptance.harness import Repository

pytestmark = pytest.mark.acceptance

AGES = """
from datetime import datetime, timedelta

def main(age: timedelta, since: datetime, most: timedelta | None = None) -> str:
    return f"{age} {most}"
"""


def test_a_duration_is_accepted_in_the_documented_formats(page: Page, repository: Repository, url: str) -> None:
    repository.write("flows/ages.py", AGES)
    manifest = "name: ages\nflow: flows/ages.py:main\nparameters: {age: 90, since: 0}\n"
    repository.write("deployments/ages.yaml", manifest)
    repository.wait_for_revision(repository.commit())
    log_in(page, repository, url)
    for most, result in (
        (None, "0:01:30 None"),
        ("90.5", "0:01:30 0:01:30.500000"),
        ("01:30:00", "0:01:30 1:30:00"),
        ("PT1H30M", "0:01:30 1:30:00"),
    ):
        page.goto("about:blank")
        page.goto(f"{url}/deployments/ages#run")
        expect(page.get_by_label("most")).to_have_accessible_description("seconds, 01:30:00 or PT1H30M")
        if most is not None:
            page.get_by_label("most").fill(most)
        page.get_by_role("button", name="Run now").click()
        page.wait_for_url(f"{url}/runs/*")
        expect(page.locator("#heading .result")).to_contain_text(f'"{result}"')


REPORT = """
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

@dataclass
class Window:
    days: int
    unit: Literal["days", "weeks"] = "days"

def main(
    name: str, day: date, window: Window = Window(7), since: datetime = datetime(2026, 1, 1), limit: int = 24 * 60,
    formats: list[str] = ["pdf"], ratio: float | None = 0.5, title: str = "weekly",
) -> str:
    return f"{name} {day} {window} {since} {limit} {ratio} {title}"
"""


def declare_report(repository: Repository, name: str) -> None:
    """Commit a deployment whose flow has parameters of many types."""
    repository.write("flows/report.py", REPORT)
    manifest = f"name: {name}\nflow: flows/report.py:main\nparameters: {{name: Ada, limit: 20, title: daily}}\n"
    repository.write(f"deployments/{name}.yaml", manifest)
    repository.wait_for_revision(repository.commit())


def test_the_run_form_is_a_sheet_that_opens_by_url_and_by_keyboard(
    page: Page, repository: Repository, url: str
) -> None:
    declare_report(repository, "sheet")
    log_in(page, repository, url)
    page.goto(f"{url}/deployments/sheet?tab=definition")
    expect(page.locator("#declared tr", has_text="parameters")).to_contain_text("tester ·")
    page.get_by_role("link", name="Run", exact=True).press("Enter")
    sheet = page.get_by_role("dialog")
    expect(sheet.get_by_label("Parameters")).to_be_focused()
    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    expect(page).to_have_url(f"{url}/deployments/sheet?tab=definition")
    expect(page.get_by_role("link", name="Run", exact=True)).to_be_focused()
    page.get_by_role("link", name="Parameters", exact=True).press("Enter")
    page.wait_for_url("**/deployments/sheet?tab=parameters")
    expect(page.get_by_role("link", name="Parameters", exact=True)).to_have_attribute("aria-current", "page")
    page.goto(f"{url}/deployments/sheet#run")
    since = sheet.get_by_label("since datetime")
    expect(since).to_have_accessible_description(re.compile(r"default: datetime\(2026, 1, 1\)"))


def test_all_errors_of_the_run_form_are_shown_at_once(page: Page, repository: Repository, url: str) -> None:
    declare_report(repository, "errors")
    log_in(page, repository, url)
    page.goto(f"{url}/deployments/errors#run")
    sheet = page.get_by_role("dialog")
    sheet.get_by_label("name str").fill("")
    sheet.get_by_label("limit").fill("1.5")
    sheet.get_by_label("formats").fill("[{}]")
    sheet.get_by_label("unit").select_option("weeks")
    sheet.get_by_label("title").fill("")
    sheet.get_by_role("button", name="Run now").click()
    errors = sheet.locator(".field:not(.group) > .error:not(:empty)")
    expect(errors).to_have_count(5)
    for index, message in enumerate(
        (
            "required; Reset to declared restores the value in git",  # name
            "required",  # day
            "required",  # days, as the window has a unit
            "enter a whole number",  # limit
            "formats[0]",  # from the controller
        )
    ):
        expect(errors.nth(index)).to_contain_text(message)


def test_a_run_with_parameters_of_many_types_is_repeated(page: Page, repository: Repository, url: str) -> None:
    declare_report(repository, "report")
    log_in(page, repository, url)
    page.goto(f"{url}/deployments/report#run")
    sheet = page.get_by_role("dialog")
    sheet.get_by_label("name str").fill("Bob's")
    sheet.get_by_label("day date").fill("2026-03-01")
    sheet.get_by_label("days int").fill("3")
    sheet.get_by_label("limit").fill("")
    sheet.get_by_label("since datetime").fill("2026-02-01T10:00")
    sheet.get_by_label("Time zone of since").select_option("UTC")
    sheet.get_by_label("null").check()
    expect(sheet.locator("#run-command")).to_have_text(
        "controller trigger report --param 'name=Bob'\\''s' --param day=2026-03-01"
        """ --param 'window={"days":3}' --param since=2026-02-01T10:00:00Z --param ratio=null"""
    )
    sheet.get_by_role("button", name="Run now").click()
    page.wait_for_url(f"{url}/runs/*")
    result = "Bob's 2026-03-01 Window(days=3, unit='days') 2026-02-01 10:00:00+00:00 20 None daily"
    expect(page.locator("#heading .result")).to_contain_text(result)
    page.goto(f"{url}/deployments/report#run")
    sheet.get_by_label("Parameters").select_option(index=1)
    expect(sheet.get_by_label("days int")).to_have_value("3")
    expect(sheet.get_by_label("Time zone of since")).to_have_value("UTC")
    expect(sheet.get_by_label("null")).to_be_checked()
    sheet.get_by_role("button", name="Reset to declared").click()
    expect(sheet.get_by_label("name str")).to_have_value("Ada")
    expect(sheet.locator("#run-command")).to_have_text("controller trigger report")


MIDDLES = """() => {
    const middle = (box) => (box.top + box.bottom) / 2;
    const boxes = (wanted) => [...document.querySelectorAll(wanted)].map((one) => one.getBoundingClientRect());
    const [top, bottom] = boxes(".history-axis span");
    const lines = boxes(".history-bars .axis");
    return [middle(top) - middle(lines[0]), middle(bottom) - middle(lines[1])];
}"""


def test_a_sparse_run_history_covers_existing_runs_only(page: Page, repository: Repository, url: str) -> None:
    repository.write("deployments/sparse.yaml", "name: sparse\ncommand: [echo]\n")
    repository.wait_for_revision(repository.commit())
    for _ in range(2):
        repository.wait_for_end(repository.trigger("sparse")["run_id"])
    log_in(page, repository, url)
    page.goto(f"{url}/deployments/sparse")
    ends = page.locator(".history-ends")
    expect(ends).to_contain_text("2 runs, ")
    times = ends.locator("time").element_handles()
    bar = page.locator(".history-bars a").first.element_handle()
    left = "([one, other]) => one.getBoundingClientRect().left - other.getBoundingClientRect().left"
    chart = page.locator(".history").element_handle()
    assert page.evaluate(left, [times[0], chart]) > 0.5 * page.evaluate(left, [bar, chart])
    assert page.evaluate(MIDDLES) == pytest.approx([0, 0], abs=2)


def test_the_login_page_sends_no_rejected_request_and_redirects_open_sessions(
    page: Page, repository: Repository, url: str
) -> None:
    refused: list[str] = []
    page.on("response", lambda answer: refused.append(answer.url) if answer.status >= 400 else None)
    with page.expect_response(lambda answer: answer.request.resource_type == "fetch"):
        page.goto(f"{url}/runs")
    expect(page.get_by_label("Token or login code")).to_be_visible()
    log_in_by_link(page, repository, url)
    page.goto(f"{url}/login?next=/events")
    page.wait_for_url(f"{url}/events")
    elsewhere = url.replace("127.0.0.1", "localhost")
    link = f"<a href='{url}/runs'>there</a>"
    page.route(f"{elsewhere}/from", lambda route: route.fulfill(body=link, content_type="text/html"))
    page.goto(f"{elsewhere}/from")
    page.get_by_role("link", name="there").click()
    page.wait_for_url(f"{url}/runs")
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    assert refused == []
