"""Backfills, re-runs and bulk actions in a real browser."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.dashboard.visitor import log_in
from tests.acceptance.harness import Repository

pytestmark = pytest.mark.acceptance

FLOW = """
    from datetime import date

    def load(day: date) -> str:
        if day.day == 2:
            raise ValueError(f"no data for {day}")
        return str(day)
"""


def declare(repository: Repository, name: str) -> None:
    """Commit a daily deployment that fails for the second day of a month."""
    repository.write(f"flows/{name}.py", FLOW)
    manifest = f"""
        name: {name}
        flow: flows/{name}.py:load
        parameters: {{day: {{from: due_time, format: date}}}}
        schedules: [{{cron: "0 6 * * *", timezone: Europe/Berlin}}]
    """
    repository.write(f"deployments/{name}.yaml", manifest)
    repository.wait_for_revision(repository.commit())


def fix(repository: Repository, name: str) -> None:
    repository.write(f"flows/{name}.py", FLOW.replace("day.day == 2", "False"))
    repository.wait_for_revision(repository.commit())


def page_day(page: Page) -> str:
    """Return the day in Berlin, which is the time zone of the schedule and of the browser."""
    return str(page.evaluate("new Intl.DateTimeFormat('sv').format(new Date())"))


def test_a_backfill_from_its_dry_run_to_its_end(page: Page, repository: Repository, url: str) -> None:
    declare(repository, "load")
    log_in(page, repository, url)
    page.goto(f"{url}/deployments/load#run")
    expect(page.get_by_label("day")).to_have_accessible_description(re.compile(f"For a run now it is {page_day(page)}"))
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Backfill", exact=True).click()
    form = page.locator("#backfill-form")
    form.get_by_role("button", name="Dry run").click()
    expect(form.locator("#b-since-error")).to_have_text("required")
    form.get_by_label("From").fill("2025-03-01T00:00")
    form.locator("#b-until").fill("2025-03-04T00:00")
    form.get_by_label("Parameters").fill("[]")
    form.get_by_role("button", name="Dry run").press("Enter")
    expect(form.locator("#b-parameters-error")).to_contain_text("enter a JSON object")
    form.get_by_label("Parameters").fill("")
    form.get_by_role("button", name="Dry run").press("Enter")
    expect(page.locator("#backfill-preview")).to_contain_text("This runs 3 due times, from Mar 1, 2025")
    expect(page.locator("#backfill-preview")).to_contain_text(
        "None of the 3 due times in this range have a run already."
    )
    form.get_by_label("Runs at a time").fill("2")
    expect(form.get_by_role("button", name="Start backfill")).to_be_disabled()
    form.get_by_role("button", name="Dry run").click()
    form.get_by_role("button", name="Start backfill").click()
    page.wait_for_url(f"{url}/backfills/*")
    expect(page.locator("#heading .badge")).to_have_text("failed")
    expect(page.locator("#progress .progress")).to_have_attribute("aria-label", "2 done, 1 failed of 3 due times")
    expect(page.locator("#failed tbody tr")).to_contain_text("no data for 2025-03-02")


def test_failed_due_times_are_retried_and_run_again(page: Page, repository: Repository, url: str) -> None:
    declare(repository, "again")
    repository.ask("backfill", "again", "--from", "2025-03-01T00:00:00Z", "--to", "2025-03-04T00:00:00Z")
    log_in(page, repository, url)
    page.goto(f"{url}/backfills?deployment=again")
    page.locator("#backfills td.id a").click()
    expect(page.locator("#heading .badge")).to_have_text("failed")
    expect(page.locator("#failed tbody tr")).to_contain_text("no data for 2025-03-02")
    fix(repository, "again")
    page.goto(f"{url}/deployments/again")
    page.locator("summary", has_text="⋯").click()
    page.get_by_role("button", name="Retry failed runs").click()
    expect(page.get_by_role("dialog")).to_contain_text("Retry all failed runs of again")
    page.get_by_role("dialog").get_by_role("button", name="No").click()
    page.go_back()
    page.get_by_role("button", name="Retry failed with latest code").click()
    expect(page.get_by_role("dialog")).to_contain_text("Retry 1 failed run with the latest code?")
    page.get_by_role("dialog").get_by_role("button", name="Retry").click()
    expect(page.locator("#notice")).to_have_text("1 of 1 runs retried.")
    expect(page.locator("#heading .badge")).to_have_text("succeeded")
    expect(page.locator("#progress .legend")).to_have_text("3 done")
    page.get_by_role("link", name="Backfills", exact=True).click()
    expect(page.locator("#backfills tr", has_text="again").locator(".badge")).to_have_text("succeeded")
    page.goto(f"{url}/deployments/again")
    row = page.locator("#history tbody tr", has_text="retry")
    expect(row.locator(".badge")).to_have_text("succeeded")
    expect(page.get_by_role("button", name="Run again")).to_have_count(3)
    row.get_by_role("button", name="Run again").click()
    page.get_by_role("dialog").get_by_role("button", name="Run again").click()
    page.wait_for_url(f"{url}/runs/*")
    expect(page.locator("#heading .badge")).to_have_text("succeeded")
    run = page.url
    page.goto(f"{run}?tab=parameters")
    expect(page.locator("#parameters")).to_contain_text('"2025-03-02"')
    page.goto(f"{run}?tab=details")
    expect(page.locator("#details .due-run")).to_have_count(3)


def test_runs_are_retried_and_cancelled_in_bulk(page: Page, repository: Repository, url: str) -> None:
    declare(repository, "many")
    for month in (1, 2, 3):
        repository.trigger("many", "--param", f"day=2025-0{month}-02")
    fix(repository, "many")
    log_in(page, repository, url)
    page.goto(f"{url}/runs?deployment=many")
    expect(page.locator("#runs tbody tr")).to_have_count(3)
    expect(page.locator("#bulk")).to_be_hidden()
    picture = page.locator("#chart .dots")
    expect(picture.locator("use.bad")).to_have_count(3)
    box = picture.bounding_box()
    assert box is not None
    page.mouse.move(box["x"], box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"], box["y"] + 30, steps=3)
    page.mouse.up()
    page.wait_for_url(f"{url}/runs?deployment=many&since=*&until=*")
    expect(page.locator("#chips a")).to_have_count(4)
    page.locator("#chips a", has_text="to:").click()
    page.locator("#chips a", has_text="from:").click()
    page.wait_for_url(f"{url}/runs?deployment=many")
    expect(page.locator("#live")).to_have_text("live")
    page.get_by_label("Select all on this page").check()
    page.locator("[data-select]").first.press(" ")
    expect(page.locator("#selected")).to_have_text("2 selected")
    page.get_by_label("Code of the retries").select_option("the latest code")
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_role("dialog")).to_contain_text("Retry 2 runs with the latest code?")
    page.get_by_role("dialog").get_by_role("button", name="Retry 2 runs").click()
    expect(page.locator("#notice")).to_have_text("2 of 2 runs retried.")
    expect(page.locator("#runs .badge.good")).to_have_count(2)
    expect(page.locator("#selected")).to_have_text("0 selected")
    page.get_by_label("Select all on this page").check()
    expect(page.locator("#selected")).to_have_text("5 selected")
    page.locator("#bulk-cancel").click()
    expect(page.get_by_role("dialog")).to_contain_text("Cancel 5 runs?")
    page.get_by_role("dialog").get_by_role("button", name="Cancel 5 runs").click()
    expect(page.locator("#notice")).to_contain_text("0 of 5 runs cancelled.")
    expect(page.locator("#notice")).to_contain_text("has already finished: succeeded.")


def test_all_runs_that_match_the_filters_are_cancelled(page: Page, repository: Repository, url: str) -> None:
    never = repository.machine.home / "never"
    manifest = f"""
        name: waiting
        flow: flows/greet.py:greet
        parameters: {{name: Ada, until: {never}}}
        schedules: [{{cron: "0 6 * * *", timezone: Europe/Berlin}}]
    """
    repository.write("deployments/waiting.yaml", manifest)
    repository.wait_for_revision(repository.commit())
    repository.ask("backfill", "waiting", "--from", "2025-03-01T00:00:00Z", "--to", "2025-05-01T00:00:00Z")
    log_in(page, repository, url)
    page.goto(f"{url}/runs")
    page.get_by_label("Deployment", exact=True).press_sequentially("waiting")
    page.get_by_text("State", exact=True).first.click()
    page.get_by_role("checkbox", name="pending").check()
    page.wait_for_url(f"{url}/runs?deployment=waiting&state=pending")
    expect(page.locator("#summary")).to_contain_text("60 runs")
    page.get_by_label("Select all on this page").check()
    expect(page.locator("#selected")).to_have_text("50 selected")
    page.get_by_role("button", name="Select all 60 runs that match").click()
    expect(page.locator("#selected")).to_have_text("All 60 runs that match are selected")
    expect(page.locator("#bulk-retry")).to_be_disabled()
    page.locator("#bulk-cancel").click()
    expect(page.get_by_role("dialog")).to_contain_text("60 pending, of deployment waiting.")
    page.get_by_role("dialog").get_by_role("button", name="Cancel 60 runs").click()
    expect(page.locator("#notice")).to_have_text("60 of 60 runs cancelled.")
    expect(page.locator("#bulk")).to_be_hidden()
    page.locator("#chips a", has_text="state: pending").click()
    expect(page.locator("#summary")).to_contain_text("61 runs")
    page.goto(f"{url}/runs?deployment=waiting&state=running")
    page.get_by_label("Select run").check()
    page.locator("#bulk-cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel 1 run").click()
    expect(page.locator("#notice")).to_have_text("1 of 1 runs cancelled.")
