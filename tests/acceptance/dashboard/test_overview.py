"""The first screen of the overview, in a real browser: what runs, what failed and why, what is next, what git says."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.acceptance.dashboard.visitor import OWN_CONTROLLER, log_in
from tests.acceptance.harness import Repository

pytestmark = pytest.mark.acceptance

LOAD = """
    def load() -> None:
        raise ConnectionError("warehouse.internal:5432 refused the connection")

    def price() -> None:
        raise KeyError("amount")
"""
CAUSE = "ConnectionError: warehouse.internal:5432 refused the connection"
SIZES = ((1440, 900), (390, 844))


def is_on_first_screen(page: Page, element: Locator) -> bool:
    box, view = element.bounding_box(), page.viewport_size
    assert box is not None
    assert view is not None
    assert page.evaluate("scrollY") == 0
    fits = box["x"] >= 0 and box["x"] + box["width"] <= view["width"] and box["y"] + box["height"] <= view["height"]
    return fits and box["width"] > 0


def answers(page: Page) -> dict[str, tuple[Locator, ...]]:
    """Return the elements that answer the four questions, by question."""
    strip, now, following = page.locator("#source-bar"), page.locator("#now"), page.locator("#next")
    return {
        "what git says, and who said it": (
            strip.get_by_text("Remove the old marts"),
            strip.get_by_text(re.compile(" · ")),
            strip.get_by_role("link", name="1 file invalid"),
            strip.get_by_role("link", name="Review"),
        ),
        "what failed, and why": (
            page.locator("#health"),
            page.get_by_text(CAUSE),
            page.get_by_text(re.compile("^3 deployments, since")),
            page.get_by_text("KeyError: 'amount'"),
            page.get_by_text(re.compile("2 in a row, since")),
        ),
        "what runs": (now.get_by_role("link", name="greet"),),
        "what is next": (following.get_by_text("3 frequent deployments"), following.get_by_role("link", name="backup")),
    }


def write_deployments(repository: Repository) -> None:
    repository.write("flows/load.py", LOAD)
    for name in ("orders", "customers", "stock"):
        repository.write(f"deployments/{name}.yaml", f"name: {name}\nflow: flows/load.py:load\n")
    repository.write("deployments/price.yaml", "name: price\nflow: flows/load.py:price\n")
    nightly = "name: backup\ncommand: [echo]\nschedules: [{cron: '15 0 * * *', timezone: UTC}]\n"
    often = "name: NAME\ncommand: [echo]\nschedules: [{interval: 1h}]\n"
    repository.write("deployments/backup.yaml", nightly)
    repository.write("deployments/often.yaml", "---\n".join(often.replace("NAME", f"often-{n}") for n in range(3)))
    for number in range(12):
        repository.write(f"deployments/m{number}.yaml", f"name: m{number}\ncommand: [echo]\n")
    repository.wait_for_revision(repository.commit())


@OWN_CONTROLLER
def test_the_first_screen_answers_four_questions_on_a_desktop_and_on_a_phone(
    page: Page, repository: Repository, url: str
) -> None:
    write_deployments(repository)
    for name in ("orders", "customers", "stock", "price", "price"):
        repository.trigger(name)
    gate = str(repository.machine.home / "never")
    running = repository.tell("trigger", "greet", "--param", f"until={gate}")["run_id"]
    repository.wait_for_output(running)
    for number in range(12):
        repository.remove(f"deployments/m{number}.yaml")
    repository.write("deployments/broken.yaml", "name: broken\ncommand: 5\n")
    repository.commit("Remove the old marts")
    log_in(page, repository, url)
    page.goto(f"{url}/")
    expect(page.locator("#source-bar")).to_contain_text("12 deletions withheld")
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        page.goto(f"{url}/")
        expect(page.locator("#live")).to_have_text("live")
        for question, elements in answers(page).items():
            for element in elements:
                assert is_on_first_screen(page, element), (width, question, element)
    page.set_viewport_size({"width": 1440, "height": 900})
    page.get_by_text(CAUSE).click()
    expect(page.locator(".same .attention > li")).to_have_count(3)
    page.get_by_role("link", name="4 failing").click()
    expect(page.locator("#deployments tbody tr")).to_have_count(4)
    page.goto(f"{url}/")
    expect(page.locator("#attention .attention > li").filter(has_text="price").locator(".bars rect")).to_have_count(2)
    page.get_by_role("button", name="Hold price").click()
    page.get_by_role("dialog").get_by_role("button", name="Hold").click()
    expect(page.get_by_role("button", name="Resume price")).to_be_visible()
    drag(page, page.locator(".timeline"), 0.3, 0.55)
    page.wait_for_url(re.compile(r"/runs\?since=[^&]+Z&until=[^&]+Z$"))
    expect(page.locator("#runs tbody tr")).to_have_count(6)
    repository.tell("runs", "cancel", running)


def drag(page: Page, element: Locator, begin: float, end: float) -> None:
    """Drag the mouse over an element, between two shares of its width."""
    box = element.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * begin, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * end, box["y"] + 30, steps=4)
    page.mouse.up()
