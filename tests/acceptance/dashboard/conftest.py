"""Fixtures of the dashboard tests: a browser, a page, and a controller that the stories share.

A story gives its deployments names of its own, because others use the same repository. `OWN_CONTROLLER` marks a story
that needs a repository without other deployments, or that stops the controller; `OWN_CONTEXT` marks one that changes
the clock of its browser context.
"""

import asyncio
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from tests.acceptance.dashboard.visitor import FLOW
from tests.acceptance.harness import DEADLINE_SECONDS, Machine, Repository, Running, until
from tests.command_server import CommandServer

PROGRAMS = ("chromium-headless-shell", "chromium")
"""The first has no user interface, and needs half of the CPU time."""


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


@dataclass(frozen=True, slots=True)
class Chromium:
    """A browser, the context that stories share, and the event loop of Playwright."""

    browser: Browser
    context: BrowserContext
    loop: asyncio.AbstractEventLoop


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """A chromium for all stories of this process. It waits as long as every test does."""
    expect.set_options(timeout=DEADLINE_SECONDS * 1000)
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    assert program is not None, "these tests drive chromium: `make browser` installs it"
    with sync_playwright() as playwright:
        loop = asyncio.get_running_loop()
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        context = new_context(browser)
        asyncio._set_running_loop(None)
        yield Chromium(browser, context, loop)
        asyncio._set_running_loop(loop)
        browser.close()


def new_context(browser: Browser) -> BrowserContext:
    """Return a context in Berlin without motion."""
    return browser.new_context(timezone_id="Europe/Berlin", reduced_motion="reduce")


@pytest.fixture
def browser(chromium: Chromium) -> Iterator[Browser]:
    """The browser. Playwright's event loop is the running one only in stories: other tests run loops of their own."""
    asyncio._set_running_loop(chromium.loop)
    yield chromium.browser
    asyncio._set_running_loop(None)


@pytest.fixture
def has_own_context() -> bool:
    """Whether the page has a context of its own, and not the one that stories share. `OWN_CONTEXT` overrides it."""
    return False


@pytest.fixture
def page(chromium: Chromium, browser: Browser, url: str, *, has_own_context: bool) -> Iterator[Page]:
    """A page; the test fails if a script raises an error or violates the security policy. It is closed before `url`.

    The cache of the shared context keeps the static files. Cookies and other stored values are removed.
    """
    context = new_context(browser) if has_own_context else chromium.context
    opened = context.new_page()
    opened.set_default_timeout(DEADLINE_SECONDS * 1000)
    wrong: list[str] = []

    def record_error(message: ConsoleMessage) -> None:
        if message.type == "error":
            wrong.append(f"{message.text}: {message.location['url']}")

    opened.on("console", record_error)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    yield opened
    session = context.new_cdp_session(opened)
    session.send("Storage.clearDataForOrigin", {"origin": url, "storageTypes": "local_storage"})
    opened.close()
    context.clear_cookies()
    context.clear_permissions()
    if has_own_context:
        context.close()
    assert wrong == []
