"""The dashboard in a real browser: log in, run a flow, follow its log, approve deletions."""

import re
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Dialog, Page, expect

from tests.acceptance.conftest import Start
from tests.acceptance.dashboard.conftest import Site
from tests.acceptance.dashboard.visitor import OWN_CONTROLLER, SHARDS, TASKS, log_in, log_in_by_link
from tests.acceptance.harness import Repository

pytestmark = pytest.mark.acceptance


def test_log_in_run_a_flow_and_follow_its_log(page: Page, repository: Repository, url: str) -> None:
    page.goto(url)
    expect(page.get_by_label("Token or login code")).to_be_visible()
    log_in_by_link(page, repository, url)
    expect(page.locator("#live")).to_have_text("live")
    page.get_by_role("link", name="Deployments", exact=True).click()
    page.get_by_role("link", name="greet", exact=True).click()
    page.get_by_role("link", name="Run", exact=True).click()
    for text, message in (
        ("1.5", "enter a whole number"),
        ("9007199254740993", "number too large for this form"),
    ):
        page.get_by_label("times").fill(text)
        page.get_by_role("button", name="Run now").click()
        expect(page.get_by_text(message)).to_be_visible()
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
    expect(page.locator("#heading .result")).to_have_text('result "Ada"')


@OWN_CONTROLLER
def test_approve_withheld_deletions(page: Page, repository: Repository, url: str) -> None:
    for number in range(10):
        repository.write(f"deployments/m{number}.yaml", f"name: m{number}\ncommand: [echo]\n")
    repository.wait_for_revision(repository.commit())
    log_in(page, repository, url)
    page.goto(f"{url}/")
    for number in range(10):
        repository.remove(f"deployments/m{number}.yaml")
    repository.commit()
    page.get_by_role("link", name="Deletions are waiting for approval").click()
    expect(page.locator("#withheld")).to_contain_text("10 of 11 deployments")
    expect(page.locator("#withheld tbody tr")).to_have_count(10)
    page.get_by_role("button", name="Approve these deletions").click()
    question = page.get_by_role("dialog")
    expect(question).to_contain_text("Delete 10 deployments?")
    page.keyboard.press("Escape")
    expect(question).to_be_hidden()
    expect(page.locator("#withheld .card")).to_have_count(1)
    page.get_by_role("button", name="Approve these deletions").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("Approved.")).to_be_visible()
    expect(page.locator("#withheld .card")).to_have_count(0)
    assert [row["name"] for row in repository.status()["deployments"]] == ["greet"]


def test_cancel_a_run_and_retry_it(page: Page, repository: Repository, url: str) -> None:
    repository.write("deployments/rest.yaml", "name: rest\nflow: flows/greet.py:greet\nparameters: {name: Ada}\n")
    repository.wait_for_revision(repository.commit())
    gate = str(repository.machine.home / "never")
    run = repository.tell("trigger", "rest", "--param", f"until={gate}")["run_id"]
    log_in(page, repository, url)
    page.goto(f"{url}/runs/{run}")
    expect(page.locator("#log .line")).to_have_text(["hello Ada 0"])
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="No").click()
    expect(page.locator("#heading .badge")).to_have_text("running")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_label("Reason").fill("the disk is full")
    page.get_by_label("Reason").press("Enter")
    expect(page.locator("#heading .badge")).to_have_text("cancelled")
    expect(page.locator("#heading .note")).to_contain_text("the disk is full")
    expect(page.locator("#notice")).to_be_hidden()
    expect(page.get_by_text("Cancelling")).to_have_count(0)
    expect(page).to_have_title("cancelled: run of rest · controller")
    page.get_by_role("link", name="Details").click()
    expect(page.locator("#details .steps")).to_contain_text("cancelled")
    page.get_by_role("button", name="Retry", exact=True).click()
    page.wait_for_url(lambda address: "/runs/" in address and run not in address)
    expect(page.locator("#heading")).to_contain_text(f"retry of {run[-12:]}")
    page.get_by_role("link", name="Previous run").click()
    page.wait_for_url(f"{url}/runs/{run}")
    page.get_by_role("link", name="Next run").click()
    page.wait_for_url(lambda address: run not in address)
    repository.tell("runs", "cancel", page.url.rpartition("/")[2])


def test_hold_a_deployment_and_resume_it(page: Page, repository: Repository, url: str) -> None:
    repository.write("deployments/daily.yaml", "name: daily\ncommand: [echo]\nschedules: [{cron: '0 9 * * *'}]\n")
    repository.wait_for_revision(repository.commit())
    log_in(page, repository, url)
    page.goto(f"{url}/deployments/daily?tab=schedule")
    expect(page.locator("#calendar .busy time").first).to_be_visible()
    page.get_by_role("button", name="Set your name").click()
    page.get_by_label("Name", exact=True).fill("Ada")
    page.get_by_label("Name", exact=True).press("Enter")
    expect(page.locator("#author-open")).to_have_text("Ada")
    page.get_by_role("link", name="Hold").press("Enter")
    expect(page.get_by_label("Reason for hold")).to_be_focused()
    page.get_by_label("Reason for hold").fill("the disk is full")
    page.locator("#hold-form select").select_option("2 hours")
    page.get_by_role("button", name="Hold").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator("#heading")).to_contain_text("Held by dashboard: Ada")
    expect(page.locator("#heading")).to_contain_text("the disk is full")
    assert repository.deployment("daily")["held"] is True
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    expect(page.get_by_role("link", name="Backfill", exact=True)).not_to_be_focused()
    tabs = page.get_by_role("navigation", name="Parts of daily")
    assert tabs.evaluate("element => getComputedStyle(element).overflowY") == "visible", "the tabs have a scrollbar"
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#heading .badge")).to_have_text(["Synced", "Healthy"])
    assert repository.deployment("daily")["held"] is False


def test_no_value_is_executed_as_a_script(page: Page, repository: Repository, url: str) -> None:
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


def test_pages_work_by_keyboard_and_fit_a_phone(page: Page, repository: Repository, url: str) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    log_in(page, repository, url)
    run = repository.trigger("greet")["run_id"]
    titles = set()
    for path in (
        "/",
        "/deployments",
        "/deployments/greet",
        "/runs",
        f"/runs/{run}",
        "/backfills",
        "/source",
        "/events",
    ):
        page.goto(url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
        titles.add(page.title())
    assert len(titles) == 8
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    page.emulate_media(reduced_motion="reduce")
    animation = "getComputedStyle(document.querySelector('#live'), '::before').animationName"
    assert page.evaluate(animation) == "none"
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate(animation) == "pulse"
    page.get_by_role("button", name="Auto").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    page.get_by_role("button", name="Light").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_tasks_are_drawn_with_their_dependencies_and_the_log_is_searched(
    page: Page, repository: Repository, url: str
) -> None:
    repository.write("flows/tasks.py", TASKS)
    repository.write("deployments/tasks.yaml", "name: tasks\nflow: flows/tasks.py:main\n")
    repository.wait_for_revision(repository.commit())
    run = repository.trigger("tasks")["run_id"]
    log_in(page, repository, url)
    page.goto(f"{url}/runs/{run}?tab=tasks")
    expect(page.locator(".gantt-names .name")).to_have_text(["main-1", "load-1", "load-2", "add-1"])
    expect(page.locator(".gantt rect")).to_have_count(4)
    expect(page.locator(".gantt path")).to_have_count(2)
    page.get_by_text("Table: attempts").click()
    expect(page.get_by_role("row").filter(has_text="add-1")).to_contain_text("load-1, load-2")
    page.get_by_role("link", name="Artifacts 1").click()
    expect(page.locator("#artifacts h3", has_text="Loaded")).to_be_visible()
    page.get_by_role("link", name="Log", exact=True).click()
    page.wait_for_url(f"{url}/runs/{run}")
    expect(page.locator("#log .line")).to_have_count(3)
    page.get_by_label("Search").fill("loaded")
    expect(page.locator("#log-found")).to_have_text("1 of 2")
    page.get_by_label("Search").press("Enter")
    expect(page.locator("#log-found")).to_have_text("2 of 2")
    expect(page.locator("#log .hit").nth(1)).to_have_class(re.compile("here"))
    page.get_by_label("Search").press("Escape")
    expect(page.locator("#log .hit")).to_have_count(0)


def test_a_failed_run_shows_its_cause_its_traceback_and_what_changed_without_a_click(
    page: Page, repository: Repository, url: str
) -> None:
    repository.write("flows/shards.py", SHARDS)
    repository.write("flows/rules.py", "def check(number): pass\n")
    repository.write("deployments/shards.yaml", "name: shards\nflow: flows/shards.py:main\n")
    repository.write("deployments/beside.yaml", "name: beside\ncommand: [echo]\n")
    repository.wait_for_revision(repository.commit())
    good = repository.trigger("shards")["run_id"]
    repository.write("flows/rules.py", "def check(number):\n    assert number != 3, f'shard {number} is broken'\n")
    repository.write("deployments/beside.yaml", "name: beside\ncommand: [ls]\n")
    repository.wait_for_revision(repository.commit())
    run = repository.trigger("shards")["run_id"]
    page.set_viewport_size({"width": 1440, "height": 900})
    log_in(page, repository, url)
    page.goto(f"{url}/runs/{run}")
    for place, text in (
        ("#heading .badge", "failed"),
        ("#heading .note", "score-4: AssertionError: shard 3 is broken"),
        ("#traceback", "AssertionError: shard 3 is broken"),
        ("#summary .pairs", "1 commit"),
    ):
        expect(page.locator(place)).to_contain_text(text)
        box = page.locator(place).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 900, place
    page.get_by_role("link", name="Tasks").click()
    expect(page.locator(".gantt-names .name")).to_have_text(["main-1", re.compile("score x6")])
    expect(page.locator("#tasks table")).to_be_hidden()
    page.get_by_role("link", name="score x6").click()
    expect(page.locator(".gantt-names .name")).to_have_count(8)
    page.get_by_role("link", name="Only those that did not succeed (1)").click()
    expect(page.locator(".gantt-names .name")).to_have_text(["main-1", "score-4"])
    page.get_by_role("link", name="score-4").first.click()
    page.wait_for_url(f"{url}/runs/{run}?q=score-4%20#log")
    expect(page.get_by_label("Search", exact=True)).to_have_value("score-4 ")
    page.get_by_role("link", name="Show diff").click()
    page.wait_for_url(f"{url}/runs/{run}/diff")
    expect(page.locator("details.diff[open] h2")).to_have_text(["flows/rules.py"])
    page.get_by_text("1 other file").click()
    expect(page.locator(".others h2")).to_have_text(["deployments/beside.yaml"])
    page.goto(f"{url}/runs/{good}?tab=details")
    page.get_by_label("Compare with").fill(run[-12:])
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Changes between two runs")
    expect(page.locator("#main")).to_contain_text("1 commit that only the other run had")


def test_times_are_in_the_viewers_zone_with_a_tooltip(page: Page, repository: Repository, url: str) -> None:
    document = "name: late\ncommand: [echo]\nschedules: [{cron: '30 23 * * *', timezone: America/New_York}]\n"
    repository.write("deployments/late.yaml", document)
    repository.wait_for_revision(repository.commit())
    log_in(page, repository, url)
    page.goto(f"{url}/deployments/late?tab=schedule")
    expect(page.locator("#zone")).to_have_text("Europe/Berlin")
    time = page.locator("#calendar time").nth(10)
    expect(time).to_have_text(re.compile(r"0?[45]:30( AM)?"))
    expect(time).to_have_attribute("title", re.compile(r"in America/New_York$"))
    instant, day = page.evaluate(
        "element => [element.dateTime, element.closest('td').dataset.day]", time.element_handle()
    )
    assert datetime.fromisoformat(instant).astimezone(ZoneInfo("Europe/Berlin")).date().isoformat() == day
    expect(page.locator("#heading .state-sentence time")).to_have_attribute(
        "title", re.compile(r"in America/New_York$")
    )


def test_only_the_changed_parts_of_a_page_are_replaced(page: Page, repository: Repository, url: str) -> None:
    log_in(page, repository, url)
    page.goto(f"{url}/deployments/greet#run")
    expect(page.locator("#live")).to_have_text("live")
    page.evaluate("for (const one of document.querySelectorAll('[data-live]')) one.firstElementChild.dataset.old = 1")
    page.get_by_label("times").fill("7")
    run = repository.trigger("greet")["run_id"]
    expect(page.locator(f"#history a[aria-label='Run {run}']")).to_be_visible()
    expect(page.locator("#history > [data-old]")).to_have_count(0)
    expect(page.locator("#run-at > [data-old]")).to_have_count(1)
    expect(page.get_by_label("times")).to_have_value("7")


def test_a_filter_applies_while_it_is_typed_and_survives_a_reload(page: Page, repository: Repository, url: str) -> None:
    manifest = "name: monthly-invoices\nflow: flows/greet.py:greet\nparameters: {name: Ada}\n"
    repository.write("deployments/monthly-invoices.yaml", manifest)
    repository.wait_for_revision(repository.commit())
    log_in(page, repository, url)
    page.goto(f"{url}/deployments")
    search = page.get_by_role("searchbox", name="Search")
    search.press_sequentially("invoi")
    expect(page.locator("#deployments tbody tr")).to_have_count(1)
    expect(search).to_be_focused()
    page.get_by_label("Sync").select_option("Synced")
    page.wait_for_url(f"{url}/deployments?search=invoi&sync=Synced")
    by_next_run = page.get_by_role("link", name="Next run")
    expect(by_next_run).to_have_attribute("href", re.compile("sync=Synced"))  # the list has been updated too
    by_next_run.click()
    page.wait_for_url(f"{url}/deployments?search=invoi&sync=Synced&sort=next")
    expect(page.locator("#deployments [aria-sort]")).to_have_text("Next run")
    search.fill("nobody")
    expect(page.get_by_text("No deployments match.")).to_be_visible()
    page.reload()
    expect(search).to_have_value("nobody")
    expect(page.get_by_label("Sync")).to_have_value("Synced")


def test_a_list_is_sorted_with_the_filters_of_the_form_before_it_shows_them(
    page: Page, repository: Repository, url: str
) -> None:
    log_in(page, repository, url)
    page.goto(f"{url}/deployments")
    page.route("**/deployments?*", lambda route: None if route.request.resource_type == "fetch" else route.continue_())
    page.get_by_label("Sync").select_option("Synced")
    page.wait_for_url(f"{url}/deployments?sync=Synced")
    page.get_by_role("link", name="Next run").click()
    page.wait_for_url(f"{url}/deployments?sync=Synced&sort=next")
    expect(page.get_by_label("Sync")).to_have_value("Synced")
    page.unroute_all(behavior="ignoreErrors")


def test_terminal_colours_become_css_classes(page: Page, repository: Repository, url: str) -> None:
    log_in(page, repository, url)
    page.goto(f"{url}/settings")
    shown = """async (text) => {
        const { Style, append } = await import(document.querySelector("script[src]").src.replace(/[^/]+$/, "ansi.js"));
        const place = document.createElement("div");
        append(place, text, new Style());
        return place.innerHTML;
    }"""
    for text, wanted in (
        ("\x1b[31mred\x1b[0m <b>", '<span class="f1">red</span> &lt;b&gt;'),
        ("\x1b[1;92;44mx\x1b[22;39;49my", '<span class="b f2 g4">x</span>y'),
        ("\x1b[38;5;196mred\x1b[38;5;21mblue", '<span class="f1">red</span><span class="f4">blue</span>'),
        ("\x1b[48;2;0;200;10mgreen\x1b[m.", '<span class="g2">green</span>.'),
        ("\x1b[2J\x1b]0;title\x07a\x08b", "a\\x08b"),
        ("\x1b[38mx", "x"),
        ("a\u202eb\u2066c\x85\u00e9", "a\\u202eb\\u2066c\\x85\u00e9"),
    ):
        assert page.evaluate(shown, text) == wanted, text


@OWN_CONTROLLER
def test_a_page_reports_a_stopped_controller_and_reconnects(
    browser: Browser, site: Site, repository: Repository, url: str, running: Start
) -> None:
    link = repository.tell("login")["url"]
    context = browser.new_context()
    page = context.new_page()
    page.goto(link)
    page.wait_for_url(f"{url}/")
    page.goto(f"{url}/deployments/greet")
    expect(page.locator("#live")).to_have_text("live")
    site.controller.stop()
    expect(page.locator("#live")).to_have_text("not connected")
    expect(page.locator("#lost")).to_contain_text("reconnects automatically")
    page.get_by_role("link", name="Run", exact=True).click()
    page.get_by_role("button", name="Run now").click()
    expect(page.locator("#run-form [data-problem]")).to_have_text("The controller is not responding.")
    repository.write("deployments/two.yaml", "name: two\ncommand: [echo]\n")
    revision = repository.commit()
    running(repository, "--listen", url.removeprefix("http://"))
    repository.wait_for_revision(revision)
    expect(page.locator("#live")).to_have_text("live")
    expect(page.locator("#lost")).to_be_hidden()
    expect(page.locator("#source-bar")).to_contain_text(revision.rpartition(":")[2][:9])
    context.close()


def test_without_scripts_a_page_shows_its_content_and_a_notice(
    browser: Browser, repository: Repository, url: str
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{url}/login")
    page.get_by_label("Token or login code").fill((repository.state / "token").read_text().strip())
    page.get_by_role("button", name="Log in").click()
    page.goto(f"{url}/deployments/greet")
    expect(page.get_by_text("Without JavaScript, this page shows the current state")).to_be_visible()
    expect(page.get_by_role("button", name="Run now")).to_be_disabled()
    page.get_by_label("times").press("Enter")
    assert page.url == f"{url}/deployments/greet"
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url(f"{url}/login")
    context.close()
