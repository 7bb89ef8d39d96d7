"""Fixtures of the dashboard tests: a browser, a page, and a controller that the stories share.

A story gives its deployments names of its own, because others use the same repository. `OWN_CONTROLLER` marks a story
that needs a repository without other deployments, or that stops the controller.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.acceptance.dashboard.visitor import FLOW
from tests.acceptance.harness import DEADLINE_SECONDS, Machine, Repository, Running, until
from tests.command_server import CommandServer


class Site:
    """A repository with the deployment `greet`, and a controller that serves it."""

    def __init__(self, directory: Path, machine: Machine) -> None:
        self.repository = Repository(directory / "r", machine)
        self.repository.write("flows/greet.py", FLOW)
        manifest = "name: greet\nflow: flows/greet.py:greet\nparameters: {name: Ada}\n"
        self.repository.write("deployments/greet.yaml", manifest)
        self.repository.commit()
        self.controller = Running(self.repository, directory / "run.log", ("--listen", "127.0.0.1:0"), {})
        until(lambda: self.controller.is_started, "the controller to start")
        self.repository.wait_for_revision(None)
        [url] = re.findall(r"Dashboard +url=(http://127\.0\.0\.1:\d+)", self.controller.output)
        self.url = str(url)

    def close(self) -> None:
        """Stop the controller, which must not have failed."""
        if self.controller.process.poll() is None:
            self.controller.stop()
        assert "Traceback" not in self.controller.output


@pytest.fixture(scope="session")
def shared_site(tmp_path_factory: pytest.TempPathFactory, commands: CommandServer) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("site")
    site = Site(directory, Machine(directory / "home", commands))
    yield site
    site.close()


@pytest.fixture
def is_shared() -> bool:
    """Whether the story uses the shared controller. `OWN_CONTROLLER` overrides it."""
    return True


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path, *, is_shared: bool) -> Iterator[Site]:
    """The shared controller, or one of this story."""
    if is_shared:
        yield request.getfixturevalue("shared_site")
    else:
        own = Site(tmp_path, request.getfixturevalue("machine"))
        yield own
        own.close()


@pytest.fixture
def repository(site: Site) -> Repository:
    """The repository that the controller serves."""
    return site.repository


@pytest.fixture
def url(site: Site) -> str:
    """The address of the dashboard."""
    return site.url


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
    context = browser.new_context(timezone_id="Europe/Berlin", reduced_motion="reduce")
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
