"""The dashboard as a person uses it, in a real browser: log in, run something, read along, approve."""

import shutil
from collections.abc import Iterator
from typing import Literal

import pytest
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, expect, sync_playwright

from tests.acceptance.conftest import Start
from tests.acceptance.harness import Repository

pytestmark = pytest.mark.acceptance

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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    assert program is not None, "these tests drive chromium: `make browser` installs it"
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    """A page in which nothing goes wrong: no error of a script, no breach of the policy. Closed before `url` is."""
    assert url
    context = browser.new_context(timezone_id="Europe/Berlin")
    opened = context.new_page()
    opened.set_default_timeout(20_000)
    wrong: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        # That a page of a stranger is refused is what the login page asks about.
        if message.type == "error" and "401" not in message.text:
            wrong.append(message.text)

    opened.on("console", heard)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    yield opened
    context.close()
    assert wrong == []


@pytest.fixture
def url(repository: Repository, running: Start) -> str:
    """Where a controller serves this repository."""
    repository.write("flows/greet.py", FLOW)
    repository.write("deployments/greet.yaml", "name: greet\nflow: flows/greet.py:greet\nparameters: {name: Ada}\n")
    repository.commit()
    running(repository, "--listen", "127.0.0.1:0")
    repository.wait_for_revision(None)
    return str(repository.tell("login")["url"]).partition("/login")[0]


def log_in(page: Page, repository: Repository, url: str) -> None:
    page.goto(repository.tell("login")["url"])
    page.wait_for_url(f"{url}/")


def test_a_person_logs_in_runs_a_flow_and_reads_its_log_while_it_runs(
    page: Page, repository: Repository, url: str
) -> None:
    page.goto(url)
    expect(page.get_by_label("Token, or the code of a login link")).to_be_visible()
    log_in(page, repository, url)
    expect(page.locator("#live")).to_have_text("live")
    page.get_by_role("link", name="Deployments", exact=True).click()
    page.get_by_role("link", name="greet", exact=True).click()
    page.get_by_label("times").fill("many")
    page.get_by_role("button", name="Run now").click()
    expect(page.get_by_text("a whole number is needed")).to_be_visible()
    page.get_by_label("times").fill("3")
    signal = repository.machine.home / "go"
    page.get_by_label("until").fill(str(signal))
    page.get_by_role("button", name="Run now").click()
    page.wait_for_url(f"{url}/runs/*")
    expect(page.locator("#log .line")).to_have_text(["hello Ada 0", "hello Ada 1", "hello Ada 2"])
    expect(page.locator("#log .f1").first).to_have_text("hello")
    expect(page.locator("#heading .badge")).to_have_text("running")
    signal.touch()
    expect(page.locator("#log .line").last).to_have_text("goodbye")
    expect(page.locator("#heading .badge")).to_have_text("succeeded")
    expect(page.locator("#facts")).to_contain_text('"Ada"')


def test_a_person_approves_deletions_that_are_withheld(page: Page, repository: Repository, url: str) -> None:
    for number in range(10):
        repository.write(f"deployments/m{number}.yaml", f"name: m{number}\ncommand: [echo]\n")
    repository.wait_for_revision(repository.commit())
    log_in(page, repository, url)
    for number in range(10):
        repository.remove(f"deployments/m{number}.yaml")
    repository.commit()
    page.get_by_role("link", name="Deletions wait for approval").click()
    expect(page.locator("#withheld")).to_contain_text("10 of 11 deployments")
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Approve these deletions").click()
    expect(page.get_by_text("Approved.")).to_be_visible()
    expect(page.locator("#withheld .card")).to_have_count(0)
    assert [row["name"] for row in repository.status()["deployments"]] == ["greet"]


def test_no_text_becomes_a_script(page: Page, repository: Repository, url: str) -> None:
    evil = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    text = f"name: evil\ncommand: [echo, '{evil}']\ndescription: '{evil}'\ntags: ['{evil}']\n"
    repository.write("deployments/evil.yaml", text)
    repository.wait_for_revision(repository.commit())
    run = repository.trigger("evil")["run_id"]
    repository.ask("hold", "evil", "--reason", evil)
    dialogs: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", dismiss)
    log_in(page, repository, url)
    for path in ("/", "/deployments", "/deployments/evil", "/runs", "/events", f"/runs/{run}"):
        page.goto(url + path)
        expect(page.locator("#live")).to_have_text("live")
        assert page.locator("img").count() == 0, path
    expect(page.locator("#log .line")).to_have_text(evil)
    assert dialogs == []


def test_a_page_is_used_by_keyboard_and_fits_a_phone(page: Page, repository: Repository, url: str) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    log_in(page, repository, url)
    for path in ("/", "/deployments", "/deployments/greet", "/runs", "/source", "/events"):
        page.goto(url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    page.get_by_role("button", name="Auto").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    page.get_by_role("button", name="Light").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_any_page(
    page: Page, repository: Repository, url: str, theme: Literal["light", "dark"]
) -> None:
    repository.write("deployments/broken.yaml", "name: broken\nflow: flows/greet.py:nobody\n")
    repository.commit()
    run = repository.trigger("greet")["run_id"]
    log_in(page, repository, url)
    page.emulate_media(color_scheme=theme)
    serious: list[tuple[str, str, list[str]]] = []
    for path in ("/", "/deployments", "/deployments/greet", "/runs", f"/runs/{run}", "/source", "/events"):
        page.goto(url + path)
        expect(page.locator("#live")).to_have_text("live")
        for one in Axe().run(page)["violations"]:
            if one["impact"] in ("serious", "critical"):
                serious.append((path, one["id"], [node["html"] for node in one["nodes"]]))
    assert serious == []
