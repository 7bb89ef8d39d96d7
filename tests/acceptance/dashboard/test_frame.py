"""The parts that every page has, in a real browser: copy buttons, live updates, the command palette and keys."""

from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.dashboard.visitor import OWN_CONTEXT, log_in
from tests.acceptance.harness import Repository, until

pytestmark = pytest.mark.acceptance

PASTE = """() => {
    const area = document.createElement("textarea");
    document.body.append(area);
    area.focus();
}"""
"""Focus a new text area, into which the test pastes: unlike reading the clipboard, this needs no permission."""


COUNT_FETCHES = """
    window.pending = 0;
    const original = window.fetch;
    window.fetch = (...values) => {
        pending += 1;
        return original(...values).finally(() => { pending -= 1; });
    };
"""
"""Count the requests of `fetch` that have no answer yet."""


LOADED = """() => performance.getEntriesByType("resource").filter((one) => one.name.includes("/static/"))
    .map((one) => [one.name, one.transferSize > 0])"""
"""The static files of a page, and whether each was loaded from the controller."""


def test_static_files_are_loaded_from_the_controller_only_once(page: Page, repository: Repository, url: str) -> None:
    log_in(page, repository, url)
    files: dict[str, bool] = {}
    for _ in range(2):
        page.goto(f"{url}/runs")
        expect(page.locator("#live")).to_have_text("live")
        files = dict(page.evaluate(LOADED))
    assert len(files) > 20
    assert [name for name, is_loaded in files.items() if is_loaded] == []


def test_a_button_copies_an_id_or_a_command_and_says_so(page: Page, repository: Repository, url: str) -> None:
    run = repository.trigger("greet")["run_id"]
    log_in(page, repository, url)
    page.goto(f"{url}/runs/{run}")
    for name, text in (("Copy run ID", run), ("Copy as CLI", f"controller runs logs {run}")):
        page.locator("#announcement").evaluate("line => { line.textContent = ''; }")  # that of the other button
        page.get_by_role("button", name=name).click()
        expect(page.locator("#announcement")).to_have_text("Copied")
        page.evaluate(PASTE)
        page.keyboard.press("Control+V")
        expect(page.locator("body > textarea").last).to_have_value(text)


SELECT = """(element) => getSelection().selectAllChildren(element)"""


def test_a_selection_survives_changes_and_its_region_is_updated_afterwards(
    page: Page, repository: Repository, url: str
) -> None:
    repository.write("deployments/broken-off.yaml", "name: broken-off\ncommand: [sh, -c, 'exit 7']\n")
    repository.wait_for_revision(repository.commit())
    repository.trigger("broken-off")
    log_in(page, repository, url)
    page.goto(f"{url}/runs?deployment=broken-off")
    expect(page.locator("#live")).to_have_text("live")
    reason, rows = page.locator("#runs tbody .reason").first, page.locator("#runs tbody tr")
    text = reason.inner_text()
    page.get_by_role("checkbox", name="Select run").first.check()
    row = rows.first.element_handle()
    reason.evaluate(SELECT)
    for number in (1, 2):
        repository.trigger("broken-off")
        repository.write("README.md", f"Change {number}")
        revision = repository.commit()
        expect(page.locator("#source-bar")).to_contain_text(revision.rpartition(":")[2][:9])
        expect(page.locator("#live")).to_have_text("paused")
        assert page.evaluate("getSelection().toString()").strip() == text
        expect(rows).to_have_count(1)
    page.evaluate("getSelection().empty()")
    expect(rows).to_have_count(3)
    expect(page.locator("#live")).to_have_text("live")
    assert row.evaluate("row => row === document.querySelector('#runs tbody tr:last-child')")  # moved, not replaced
    expect(rows.last.get_by_role("checkbox")).to_be_checked()
    expect(rows.last.get_by_role("checkbox")).to_be_focused()
    expect(page.locator("#selected")).to_have_text("1 selected")


def test_the_palette_jumps_to_a_deployment_and_offers_commands(page: Page, repository: Repository, url: str) -> None:
    log_in(page, repository, url)
    page.goto(f"{url}/")
    expect(page.locator("#live")).to_have_text("live")
    palette, text = (
        page.get_by_role("dialog", name="Command palette"),
        page.get_by_role("combobox", name="Command palette"),
    )
    page.keyboard.press("Control+k")
    expect(text).to_be_focused()
    page.keyboard.type("gre")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{url}/deployments/greet")
    expect(page.locator("#live")).to_have_text("live")
    page.keyboard.press("/")
    options = palette.get_by_role("option")
    expect(options.first).to_contain_text("greet")  # recent items come first
    page.keyboard.type("hold gre")
    expect(options.first).to_contain_text("Hold greet…")
    page.keyboard.press("ArrowDown")
    expect(options.nth(1)).to_have_attribute("aria-selected", "true")
    selected_id = options.nth(1).get_attribute("id")
    assert selected_id is not None
    expect(text).to_have_attribute("aria-activedescendant", selected_id)
    page.keyboard.press("Escape")
    expect(palette).to_be_hidden()
    page.keyboard.press("/")
    expect(text).to_be_focused()
    page.keyboard.type("run gre")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{url}/deployments/greet#run")
    expect(page.locator("#run-form :focus")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator("#run-form")).to_be_hidden()
    page.keyboard.press("Control+k")
    page.keyboard.type("sync")
    palette.get_by_role("option", name="Sync now").click()
    expect(page.locator("#notice")).to_have_text("Sync finished.")


def test_keys_move_through_pages_and_rows_and_can_be_switched_off(page: Page, repository: Repository, url: str) -> None:
    runs = [repository.trigger("greet")["run_id"] for _ in range(2)]
    log_in(page, repository, url)
    page.goto(f"{url}/")
    page.keyboard.press("g")
    page.keyboard.press("r")
    page.wait_for_url(f"{url}/runs")
    expect(page.locator("#live")).to_have_text("live")
    for key in ("j", "j", "k", "j"):
        page.keyboard.press(key)
    row = page.locator("#runs tbody tr").nth(1)
    expect(row.get_by_role("link", name="Run ")).to_be_focused()
    page.keyboard.press("x")
    expect(row.get_by_role("checkbox")).to_be_checked()
    page.keyboard.press("Enter")
    page.wait_for_url(f"{url}/runs/{runs[0]}")
    expect(page.locator("#live")).to_have_text("live")
    page.keyboard.press("?")
    page.get_by_role("checkbox", name="Shortcuts without Ctrl or ⌘ are on").uncheck()
    page.get_by_role("button", name="Close").click()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.goto(f"{url}/runs")
    page.get_by_label("Deployment").fill("")
    page.keyboard.type("g?x")
    expect(page.get_by_label("Deployment")).to_have_value("g?x")


@OWN_CONTEXT
def test_a_page_without_input_for_two_minutes_pauses_between_loads(
    page: Page, repository: Repository, url: str
) -> None:
    page.clock.install()
    page.add_init_script(COUNT_FETCHES)
    log_in(page, repository, url)
    page.goto(f"{url}/runs?deployment=greet")
    expect(page.locator("#live")).to_have_text("live")
    page.clock.pause_at(datetime.fromtimestamp(page.evaluate("Date.now()") / 1000 + 1, UTC))
    page.clock.fast_forward("02:10")
    loads: list[str] = []
    page.on("request", lambda request: loads.append(request.url) if request.resource_type == "fetch" else None)

    def has_loaded(run: str) -> bool:
        if page.evaluate("pending"):  # the page waits for ten times as long as a load took: let it take no time
            return False
        page.clock.run_for(500)
        return page.get_by_role("link", name=f"Run {run}").is_visible()

    first = repository.trigger("greet")["run_id"]
    until(lambda: has_loaded(first), "the first run")
    loads.clear()
    second = repository.trigger("greet")["run_id"]
    page.clock.run_for(2000)
    assert loads == []
    page.mouse.move(5, 5)
    until(lambda: has_loaded(second), "the second run")
