"""Pictures of every page at two widths, compared with stored images of a quarter of their size, and checks with axe.

    UPDATE_SNAPSHOTS=1 python -m pytest tests/acceptance/dashboard/test_snapshots.py

writes the stored images again. Look at them before you commit them. They are drawn with the fonts of Debian's Chromium.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from controller.api.http.application import PAGES as ROUTERS
from tests.acceptance.dashboard.accessibility import AccessibilityCheck
from tests.acceptance.dashboard.image_comparison import DIRECTORY, Snapshots
from tests.acceptance.dashboard.prepared_site import BACKFILL, FAILED, PreparedSite
from tests.conftest import NOW
from tests.thoroughness import THOROUGH

pytestmark = pytest.mark.acceptance

IS_UPDATE = bool(os.environ.get("UPDATE_SNAPSHOTS"))  # noqa: TID251
IS_COMPLETE = IS_UPDATE or THOROUGH
"""Whether each page is drawn at both widths. Other runs draw the pages at the two widths in turn, which costs half."""
WIDTHS = {"wide": (1440, 900), "phone": (390, 844)}
PATHS = {  # a fragment alone would not load a page, so paths that differ only in it do not follow each other
    "overview": "/",
    "deployments": "/deployments",
    "deployment": f"/deployments/{FAILED}",
    "deployment-schedule": f"/deployments/{FAILED}?tab=schedule",
    "deployment-definition": f"/deployments/{FAILED}?tab=definition",
    "deployment-parameters": f"/deployments/{FAILED}?tab=parameters",
    "deployment-events": f"/deployments/{FAILED}?tab=events",
    "deployment-invalid": "/deployments/broken",
    "deployment-deleted": "/deployments/report",
    "deployment-run": f"/deployments/{FAILED}#run",
    "runs": "/runs",
    "run": "/runs/RUN",
    "run-tasks": "/runs/RUN?tab=tasks&table=all",
    "run-artifacts": "/runs/RUN?tab=artifacts",
    "run-parameters": "/runs/RUN?tab=parameters",
    "run-details": "/runs/RUN?tab=details",
    "run-diff": "/runs/RUN/diff",
    "graph": "/graph",
    "backfills": "/backfills",
    "backfill": f"/backfills/{BACKFILL}",
    "deployment-backfill": f"/deployments/{FAILED}#backfill",
    "source": "/source",
    "events": "/events",
    "notifications": "/notifications",
    "settings": "/settings",
    "not-found": "/nothing",
}
STILL = """() => {
    const sheet = new CSSStyleSheet();
    const rules = ["animation: none", "transition: none", "caret-color: transparent"];
    sheet.replaceSync(`* { ${rules.map((rule) => `${rule} !important`).join("; ")} }`);
    document.adoptedStyleSheets.push(sheet);
}"""
"""Stops all motion. The content security policy permits a style sheet that is constructed."""
STYLE = """css => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    document.adoptedStyleSheets = [sheet];
}"""
FIXED_TEXT = """([directory, port]) => {
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const text = texts.currentNode;
        text.data = text.data.replaceAll(directory, "/srv").replaceAll(port, "4200");
        text.data = text.data.replace(/controller \\d[\\d.]*/, "controller");
    }
    const ofMachine = ["version", "Python", "platform", "process", "size", "free on its disk", "token"];
    for (const term of document.querySelectorAll(".settings dt")) {
        if (ofMachine.includes(term.textContent)) term.nextElementSibling.textContent = "of this machine";
    }
}"""
"""Replaces what depends on the machine: directories, the port, versions and sizes."""
REMOVED_PART = "#queues { visibility: hidden }"
MOVED_PART = "#next { position: relative; left: 80px }"
OTHER_LETTERS = "* { text-rendering: geometricPrecision; -webkit-font-smoothing: none }"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PreparedSite]:
    site = PreparedSite(tmp_path_factory.mktemp("prepared"))
    yield site
    site.close()


@pytest.fixture
def visitor(browser: Browser, prepared: PreparedSite) -> Iterator[Page]:
    """A page that is logged in, at the time of the site."""
    context = browser.new_context(
        timezone_id="Europe/Berlin", locale="en-GB", color_scheme="light", reduced_motion="reduce"
    )
    context.clock.set_fixed_time(NOW)
    page = context.new_page()
    page.goto(prepared.login_link())
    page.wait_for_url(f"{prepared.url}/")
    yield page
    context.close()


@pytest.fixture
def snapshots(browser: Browser, tmp_path: Path) -> Iterator[Snapshots]:
    blank = browser.new_page()
    yield Snapshots(blank, tmp_path)
    blank.close()


def open_page(page: Page, site: PreparedSite, path: str) -> None:
    response = page.goto(site.url + path.replace("RUN", site.failed_run))
    assert response is not None
    if response.status == 200 and path != "/login":
        expect(page.locator("#live")).to_have_text("live")
    page.evaluate(STILL)
    page.evaluate(FIXED_TEXT, [str(site.directory), site.url.rpartition(":")[2]])


def test_every_page_and_dialog_looks_like_its_stored_image_and_is_accessible(
    visitor: Page, prepared: PreparedSite, snapshots: Snapshots
) -> None:
    accessibility = AccessibilityCheck()
    problems: list[str] = []
    checked: list[str] = []

    def check(name: str) -> None:
        checked.append(name)
        for width, (x, y) in list(WIDTHS.items())[slice(None) if IS_COMPLETE else slice(len(checked) % 2, None, 2)]:
            visitor.set_viewport_size({"width": x, "height": y})
            problems.extend(snapshots.compare(visitor, f"{name}-{width}", is_update=IS_UPDATE))
        accessibility.run(visitor, name)

    for name, path in PATHS.items():
        open_page(visitor, prepared, path)
        check(name)
    open_page(visitor, prepared, "/")
    for name, key in {"palette": "Control+k", "keys": "?"}.items():
        visitor.keyboard.press(key)
        expect(visitor.locator(f"#{name}")).to_be_visible()
        check(name)
        visitor.keyboard.press("Escape")
        expect(visitor.locator(f"#{name}")).to_be_hidden()
    visitor.context.clear_cookies()
    open_page(visitor, prepared, "/login")
    check("login")
    assert problems == []
    assert accessibility.violations == [], "axe found something moderate or worse"
    assert sum(file.stat().st_size for file in DIRECTORY.iterdir()) < 400_000


def test_other_letters_are_accepted_but_no_missing_or_moved_part(
    visitor: Page, prepared: PreparedSite, snapshots: Snapshots
) -> None:
    visitor.set_viewport_size({"width": 1440, "height": 900})
    open_page(visitor, prepared, "/")
    for css, is_same in ((OTHER_LETTERS, True), (REMOVED_PART, False), (MOVED_PART, False)):
        visitor.evaluate(STYLE, css)
        problems = snapshots.compare(visitor, "overview-wide", is_update=False)
        assert ["differs by" in problem for problem in problems] == ([] if is_same else [True]), (css, problems)
    assert {path.name for path in snapshots.output.iterdir()} == {"overview-wide.png", "overview-wide.difference.png"}


def test_every_route_of_the_dashboard_has_an_image() -> None:
    routes = [route for router in ROUTERS for route in router.routes if "GET" in getattr(route, "methods", ())]
    paths = [path.partition("?")[0].partition("#")[0] for path in (*PATHS.values(), "/login", "/static/0/frame.css")]
    assert [str(route) for route in routes if not any(route.path_regex.match(path) for path in paths)] == []  # type: ignore[attr-defined]
