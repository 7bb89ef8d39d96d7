"""Fixtures of the dashboard tests: a browser, a page, and a controller."""

import re
import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.acceptance.harness import DEADLINE_SECONDS, Repository, Running

FLOW = """
    import os, time

    def greet(name: str, times: int = 1, until: str = "") -> str:
        for number in range(times):
            print(f"\\x1b[31mhello\\x1b[0m {name} {number}", flush=True)
        while until and not os.path.exists(until):
            time.sleep(0.02)
        print("goodbye", flush=True)
        return name
"""


TASKS = """
    from controller import flow, markdown, task

    @task
    def load(number):
        print("loaded", number)
        return number

    @task
    def add(numbers):
        return sum(numbers)

    @flow(log_prints=True)
    def main() -> int:
        total = add.submit(load.map([1, 2]))
        total.wait()
        print("\\x1b[32madded\\x1b[0m")
        markdown("# Loaded\\n\\n- two", key="summary")
        return total.result()
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A chromium. It waits as long as every test does."""
    expect.set_options(timeout=DEADLINE_SECONDS * 1000)
    program = shutil.which("chromium")
    assert program is not None, "these tests drive chromium: `make browser` installs it"
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    """A page; the test fails if a script raises an error or violates the security policy. It is closed before `url`."""
    assert url
    context = browser.new_context(timezone_id="Europe/Berlin")
    opened = context.new_page()
    opened.set_default_timeout(DEADLINE_SECONDS * 1000)
    wrong: list[str] = []

    def record_error(message: ConsoleMessage) -> None:
        if message.type == "error":
            wrong.append(message.text)

    opened.on("console", record_error)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    yield opened
    context.close()
    assert wrong == []


@pytest.fixture
def url(repository: Repository, running: Callable[..., Running]) -> str:
    """The URL of a controller that serves this repository."""
    repository.write("flows/greet.py", FLOW)
    repository.write("deployments/greet.yaml", "name: greet\nflow: flows/greet.py:greet\nparameters: {name: Ada}\n")
    repository.commit()
    controller = running(repository, "--listen", "127.0.0.1:0")
    repository.wait_for_revision(None)
    [address] = re.findall(r"Dashboard +url=(http://127\.0\.0\.1:\d+)", controller.output)
    return str(address)


def log_in(page: Page, repository: Repository, url: str) -> None:
    page.goto(repository.tell("login")["url"])
    page.wait_for_url(f"{url}/")
