"""Every page and dialog, checked with axe."""

from typing import Literal

import pytest
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.acceptance.dashboard.visitor import OWN_CONTROLLER, TASKS, log_in
from tests.acceptance.harness import Repository
from tests.thoroughness import THOROUGH

pytestmark = pytest.mark.acceptance

Look = tuple[Literal["light", "dark"], int]
LOOKS: tuple[Look, ...] = (("light", 1440), ("dark", 390), ("light", 390), ("dark", 1440))
"""Themes and widths. A thorough run tries all on each page, other runs the first two in turn."""
AXE = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}}
DIALOGS = {"palette": "Control+k", "keys": "?"}


@OWN_CONTROLLER
def test_axe_finds_nothing_moderate_or_worse_on_any_page_or_in_any_dialog(
    page: Page, repository: Repository, url: str
) -> None:
    repository.write("flows/tasks.py", TASKS)
    schedules = "schedules: [{cron: '0 9 * * *', timezone: America/New_York}]\n"
    repository.write("deployments/tasks.yaml", f"name: tasks\nflow: flows/tasks.py:main\ntags: [a]\n{schedules}")
    repository.wait_for_revision(repository.commit())
    repository.trigger("tasks")
    repository.write("flows/tasks.py", TASKS.replace("return sum", "raise ValueError"))
    repository.write("deployments/broken.yaml", "name: broken\nflow: flows/greet.py:nobody\n")
    repository.wait_for_revision(repository.commit())
    run = repository.trigger("tasks")["run_id"]
    repository.ask("hold", "greet", "--reason", "a look")
    repository.ask("backfill", "tasks", "--from", "2025-03-01T00:00:00Z", "--to", "2025-03-03T00:00:00Z")
    log_in(page, repository, url)
    page.goto(f"{url}/backfills")
    backfill = page.locator("#backfills td.id a").get_attribute("href")
    violations: list[tuple[str, str, list[str]]] = []
    checked: list[str] = []

    def check(name: str) -> None:
        checked.append(name)
        for theme, width in LOOKS if THOROUGH else LOOKS[len(checked) % 2 :][:1]:
            page.emulate_media(color_scheme=theme)
            page.set_viewport_size({"width": width, "height": 900})
            for one in Axe().run(page, options=AXE)["violations"]:
                if one["impact"] != "minor":
                    nodes = [node["html"] for node in one["nodes"]]
                    violations.append((f"{name}, {theme}, {width}", one["id"], nodes))

    tabs = [f"/deployments/tasks?tab={tab}" for tab in ("schedule", "definition", "parameters", "events")]
    deployments = ("/deployments", "/deployments/greet#run", "/deployments/tasks", *tabs, "/deployments/broken")
    run_tabs = [f"/runs/{run}?tab={tab}" for tab in ("tasks&table=all", "artifacts", "parameters", "details")]
    runs = ("/runs", f"/runs/{run}", *run_tabs, f"/runs/{run}/diff")
    others = ("/graph", "/backfills", backfill, "/source", "/events", "/notifications", "/settings")
    for path in ("/", *deployments, *runs, *others):
        page.goto(f"{url}{path}")
        expect(page.locator("#live")).to_have_text("live")
        check(str(path))
    for name, key in DIALOGS.items():
        page.keyboard.press(key)
        expect(page.locator(f"#{name}")).to_be_visible()
        check(name)
        page.keyboard.press("Escape")
        expect(page.locator(f"#{name}")).to_be_hidden()
    assert violations == []
