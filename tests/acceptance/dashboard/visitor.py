"""Flows that the dashboard tests run, and two ways to log in."""

from contextlib import closing
from http.client import HTTPConnection

import pytest
from playwright.sync_api import Page

from tests.acceptance.harness import DEADLINE_SECONDS, Repository

OWN_CONTROLLER = pytest.mark.parametrize("is_shared", [False], ids=["own controller"])
"""A story that does not use the shared controller."""
OWN_CONTEXT = pytest.mark.parametrize("has_own_context", [True], ids=["own context"])
"""A story that does not use the shared context of the browser."""

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


SHARDS = """
    import rules
    from controller import flow, task

    @task
    def score(number):
        rules.check(number)

    @flow
    def main() -> None:
        scores = score.map(range(6))
        scores.wait()  # all of them run, even if one has failed
        scores.result()
"""


def log_in(page: Page, repository: Repository, url: str) -> None:
    """Give the browser a session, as the login page does, without loading a page."""
    token = (repository.state / "token").read_text(encoding="ascii").strip()
    server = url.removeprefix("http://")
    with closing(HTTPConnection(server, timeout=DEADLINE_SECONDS)) as connection:
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
        connection.request("POST", "/login", f"code={token}", headers)
        cookie = str(connection.getresponse().headers["Set-Cookie"])
    name, _, value = cookie.partition(";")[0].partition("=")
    page.context.add_cookies([{"name": name, "value": value, "url": url, "httpOnly": True, "sameSite": "Strict"}])


def log_in_by_link(page: Page, repository: Repository, url: str) -> None:
    """Open the link of `controller login`, which leads to the overview."""
    page.goto(repository.tell("login")["url"])
    page.wait_for_url(f"{url}/")
