"""Measures pages of the dashboard in Chromium: bytes on the wire, main-thread CPU, and a tab that nobody touches."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from benchmarks.web import Server
from controller.client import Client

PROGRAM = shutil.which("chromium") or shutil.which("chromium-headless-shell")
IDLE_SECONDS = 60
LOG_LINES = 50_000
_PAGES = {"overview": "/", "deployments": "/deployments", "runs": "/runs"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Load:
    """The cost of one tab: kilobytes on the wire, requests, and milliseconds of main-thread CPU."""

    kilobytes: float
    requests: int
    cpu: float


class _Tab:
    """A tab with an empty cache, and a count of what it receives."""

    def __init__(self, browser: Browser, server: Server) -> None:
        self.page: Page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
        client = Client(f"http://{server.host}:{server.port}", server.token)
        self.page.goto(client.login_link())
        self.page.wait_for_url("**:*/")
        self.page.goto("about:blank")
        self._session: CDPSession = self.page.context.new_cdp_session(self.page)
        self._session.send("Network.enable")
        self._session.send("Network.clearBrowserCache")
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})
        self._bytes = self._requests = 0
        self._session.on("Network.dataReceived", self._on_data)
        self._session.on("Network.requestWillBeSent", self._on_request)

    def _on_data(self, event: dict[str, int]) -> None:
        self._bytes += event["encodedDataLength"]

    def _on_request(self, _: object) -> None:
        self._requests += 1

    def load(self) -> _Load:
        """Return what the tab has cost since it was opened, or since its last document was loaded for the CPU time."""
        metrics = self._session.send("Performance.getMetrics")["metrics"]
        cpu = next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")
        return _Load(kilobytes=self._bytes / 1000, requests=self._requests, cpu=cpu * 1000)


def measure_pages(server: Server) -> Iterator[tuple[str, float, str]]:
    """Yield labels, values and units: of the first load of each page, then of an idle minute of the overview."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox"])
        base = f"http://{server.host}:{server.port}"
        for name, path in _PAGES.items():
            tab = _Tab(browser, server)
            tab.page.goto(base + path, wait_until="load")
            tab.page.get_by_text("live", exact=True).wait_for()
            first = tab.load()
            yield f"page {name}: first load", first.kilobytes, "kB"
            yield f"page {name}: main thread", first.cpu, "ms CPU"
            if name == "overview":
                tab.page.wait_for_timeout(IDLE_SECONDS * 1000)
                idle = tab.load()
                yield "idle tab, one minute", idle.kilobytes - first.kilobytes, "kB"
                yield "idle tab, one minute: requests", idle.requests - first.requests, "requests"
                yield "idle tab, one minute: main thread", idle.cpu - first.cpu, "ms CPU"
            tab.page.context.close()
        browser.close()


def measure_log(server: Server, run_id: str) -> Iterator[tuple[str, float, str]]:
    """Yield labels, values and units of opening the log of a run with `LOG_LINES` lines."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox"])
        tab = _Tab(browser, server)
        tab.page.goto(f"http://{server.host}:{server.port}/runs/{run_id}", wait_until="load")
        tab.page.locator("#log .line").first.wait_for()
        tab.page.wait_for_timeout(2000)
        load = tab.load()
        yield f"log of {LOG_LINES} lines: opened", load.cpu, "ms CPU"
        yield f"log of {LOG_LINES} lines: received", load.kilobytes, "kB"
        yield f"log of {LOG_LINES} lines: elements", tab.page.locator("#log .line").count(), "rows"
        browser.close()
