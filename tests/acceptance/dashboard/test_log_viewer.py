"""The log viewer in a real browser: long logs, links to lines, search, attempts, levels, and copying."""

from urllib.parse import urlsplit

import pytest
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import Page, Response, expect

from tests.acceptance.dashboard.visitor import log_in
from tests.acceptance.harness import Repository

pytestmark = pytest.mark.acceptance

LINES = 50_000
LONG = f"""
    import os, sys, time

    def long():
        for number in range(1, {LINES} + 1):
            text = "needle" if number % 9000 == 0 else "some words that make the line as long as usual"
            sys.stdout.write(f"\\x1b[32mINFO\\x1b[0m  indexer  document {{number:05d}} {{text}}\\n")

    def growing(until: str):
        print("\\n".join(f"step {{number}}" for number in range(200)), flush=True)
        while not os.path.exists(until):
            time.sleep(0.02)
        print("the last step")

    def retried():
        attempt = os.environ["CONTROLLER_ATTEMPT"]
        for number in range(100):
            level, more = "WARNING" if number == 50 else "INFO", " long" * 2000 * (number == 10)
            print(f"12:00:00 | {{level}} | row {{number}} of attempt {{attempt}}{{more}}")
        raise ValueError("checksum mismatch")
"""
CENTRE = """() => {
    const middle = (one) => { const box = one.getBoundingClientRect(); return (box.top + box.bottom) / 2; };
    return Math.abs(middle(document.querySelector("#log .here")) - middle(document.querySelector("#log")));
}"""


def declare(repository: Repository, name: str, more: str = "") -> None:
    repository.write("flows/logs.py", LONG)
    repository.write(f"deployments/{name}.yaml", f"name: {name}\nflow: flows/logs.py:{name}\n{more}")
    repository.wait_for_revision(repository.commit())


def test_a_long_log_opens_with_few_rows_and_is_searched_completely(
    page: Page, repository: Repository, url: str
) -> None:
    declare(repository, "long")
    run = repository.trigger("long")["run_id"]
    log_in(page, repository, url)
    responses: list[Response] = []
    page.on("response", lambda response: responses.append(response))
    page.goto(f"{url}/runs/{run}")
    rows, lines = page.locator("#log .row"), page.locator("#log .line")
    expect(page.locator("#log-state")).to_have_text("50,000 lines")
    page.locator("#log").focus()
    page.keyboard.press("End")
    expect(lines.last).to_contain_text("document 50000")
    assert rows.count() <= 200
    search, status = page.get_by_label("Search"), page.locator("#log-found")
    page.keyboard.press("Home")
    expect(lines.first).to_contain_text("document 00001")
    search.fill("needle")
    expect(status).to_have_text("1 of 5")
    for key, position, number in (("Enter", "2 of 5", "18000"), ("Shift+Enter", "1 of 5", "9000")):
        search.press(key)
        expect(status).to_have_text(position)
        expect(page.locator("#log .here .num")).to_have_text(number)
        assert page.evaluate(CENTRE) < 30
    page.get_by_role("button", name="Regular expression").click()
    search.fill("document 4999[5-7] ")
    expect(status).to_have_text("1 of 3")
    search.press("Escape")
    search.fill(":49870")
    search.press("Enter")
    expect(page.locator("#log .marked .line")).to_contain_text("document 49870")
    page.locator("#log .num", has_text="49872").click(modifiers=["Shift"])
    expect(page.locator("#log .marked")).to_have_count(3)
    assert page.url.endswith("#L49870-L49872")
    assert rows.count() <= 200
    parts = [response.body() for response in responses if "/logs/" in urlsplit(response.url).path]
    assert sum(map(len, parts)) < 1_000_000  # a tenth of the log; a jump that takes longer reads more parts
    page.goto(f"{url}/runs")
    page.goto(f"{url}/runs/{run}#L31000")
    expect(page.locator("#log .marked .line")).to_contain_text("document 31000")
    expect(page.locator("#log .marked")).to_be_in_viewport()


def test_attempts_levels_and_errors_of_a_failed_run(page: Page, repository: Repository, url: str) -> None:
    declare(repository, "retried", "retries: {limit: 1, delay: 1s, jitter: 0}\n")
    run = repository.trigger("retried")["run_id"]
    log_in(page, repository, url)
    page.goto(f"{url}/runs/{run}")
    lines, state = page.locator("#log .line"), page.locator("#log-state")
    expect(lines.last).to_have_text("ValueError: checksum mismatch")
    page.locator("#log").focus()  # moves the log into the window
    expect(lines.last).to_be_in_viewport()
    attempts = page.get_by_role("group", name="Attempts").get_by_role("button")
    expect(attempts).to_have_text(["All", "1 failed", "2 failed"])
    attempts.nth(1).click()
    expect(page.locator("#log .line", has_text="row 0 of attempt 1")).to_be_attached()
    page.locator("#log").focus()
    page.keyboard.press("End")
    expect(lines.last).to_be_in_viewport()  # below a line that is wrapped many times
    expect(page.locator("#log .line", has_text="attempt 2")).to_have_count(0)
    page.get_by_role("button", name="Warnings").click()
    expect(lines).to_have_text(["12:00:00 | WARNING | row 50 of attempt 1"])
    attempts.nth(0).click()
    expect(lines).to_have_count(2)
    expect(state).to_contain_text("2 of ")
    page.get_by_role("button", name="Warnings").click()
    page.get_by_role("button", name="First error").click()
    expect(page.locator("#log .marked .line")).to_have_text("Traceback (most recent call last):")
    assert page.url.endswith("#L" + page.locator("#log .marked .num").inner_text())
    page.get_by_label("Search").fill("row 99 of attempt 1")
    expect(page.locator("#log .separator .line")).to_contain_text("after attempt 1 failed")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("#log .separator .num").click()
    page.locator("#log .num", has_text="100").first.click()
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(state).to_have_text("Copied 1 line.")
    assert page.evaluate("navigator.clipboard.readText()") == "12:00:00 | INFO | row 99 of attempt 1"
    page.get_by_role("button", name="Full screen").click()
    assert page.locator("#log-viewer").bounding_box() == {"x": 0, "y": 0, **(page.viewport_size or {})}
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Full screen")).to_have_attribute("aria-pressed", "false")
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 800})
        report = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag22aa", "best-practice"]})
        assert [(violation["id"], violation["impact"]) for violation in report["violations"]] == []


def test_a_running_log_is_followed_until_one_scrolls_up(page: Page, repository: Repository, url: str) -> None:
    go = repository.machine.home / "go-on"
    declare(repository, "growing", f"parameters: {{until: {go}}}\n")
    log_in(page, repository, url)
    page.goto(f"{url}/deployments/growing")
    page.get_by_role("link", name="Run", exact=True).click()
    page.get_by_role("button", name="Run now").click()
    page.wait_for_url(f"{url}/runs/*")
    lines = page.locator("#log .line")
    expect(lines.last).to_have_text("step 199")
    page.locator("#log").focus()
    page.keyboard.press("Home")
    expect(lines.first).to_have_text("step 0")
    expect(page.get_by_label("Follow")).not_to_be_checked()
    page.get_by_label("Follow").check()
    expect(lines.last).to_have_text("step 199")
    go.touch()
    expect(lines.last).to_have_text("the last step")
    expect(lines.last).to_be_in_viewport()
    expect(page.locator("#log-state")).to_have_text("201 lines")
    expect(page.get_by_label("Follow")).to_be_hidden()
