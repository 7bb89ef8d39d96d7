"""What every page offers, in a real browser: copy buttons."""

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.dashboard.visitor import log_in
from tests.acceptance.harness import Repository

pytestmark = pytest.mark.acceptance

PASTE = """() => {
    const area = document.createElement("textarea");
    document.body.append(area);
    area.focus();
}"""
"""Focus a new text area, into which the test pastes: unlike reading the clipboard, this needs no permission."""


def test_a_button_copies_an_id_or_a_command_and_says_so(page: Page, repository: Repository, url: str) -> None:
    run = repository.trigger("greet")["run_id"]
    log_in(page, repository, url)
    page.goto(f"{url}/runs/{run}")
    for name, text in (("Copy run ID", run), ("Copy as CLI", f"controller runs logs {run}")):
        page.get_by_role("button", name=name).click()
        expect(page.locator("#announcement")).to_have_text("Copied")
        page.evaluate(PASTE)
        page.keyboard.press("Control+V")
        expect(page.locator("body > textarea").last).to_have_value(text)
