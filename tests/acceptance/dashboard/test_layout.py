"""The layout of the dashboard, measured in a real browser at desktop and phone size."""

import itertools

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.dashboard.visitor import OWN_CONTROLLER, TASKS, log_in
from tests.acceptance.harness import Repository

pytestmark = pytest.mark.acceptance

SHARES = """([picture, labels]) => {
    const whole = document.querySelector(picture).getBoundingClientRect();
    return [...document.querySelectorAll(labels)].map((one, index, all) => {
        const box = one.getBoundingClientRect();
        const x = index === 0 ? box.left : index === all.length - 1 ? box.right : (box.left + box.right) / 2;
        return Math.round((x - whole.left) / whole.width * 1000) / 10;
    });
}"""
"""Positions of axis labels in percent of the chart width: left end of the first, right end of the last, else centre."""


def test_time_labels_are_aligned_with_the_time_axis(page: Page, repository: Repository, url: str) -> None:
    repository.write("flows/tasks.py", TASKS)
    repository.write("deployments/ticks.yaml", "name: ticks\nflow: flows/tasks.py:main\n")
    repository.wait_for_revision(repository.commit())
    run = repository.trigger("ticks")["run_id"]
    log_in(page, repository, url)
    for path, picture, labels in (
        ("/", ".timeline", ".timeline-ticks > *"),
        (f"/runs/{run}?tab=tasks", ".gantt-picture svg", ".gantt-ticks > *"),
    ):
        page.goto(url + path)
        expect(page.locator("#live")).to_have_text("live")
        expect(page.locator(labels)).to_have_count(5)
        assert page.evaluate(SHARES, [picture, labels]) == pytest.approx([0, 25, 50, 75, 100], abs=0.3), path


LONG = "x" * 5000
LONG_NAME = "N" + "n" * 99
WORDY = """
    from controller import flow, link, markdown, table, task

    @task
    def step(text):
        raise ValueError(text)

    @flow(flow_run_name="{text}")
    def main(text: str, much: list, fail: bool = False):
        if fail:
            step(text)
        markdown(text, key="k" * 200)
        table([{"a": text, "b" * 300: 1}])
        return {"text": text, "much": list(range(2000))}
"""
STICKING_OUT = """() => [...document.querySelectorAll("main *, .strip-bar *")].filter((one) => {
    const box = one.getBoundingClientRect();
    const isOut = box.width > 0 && box.right > document.documentElement.clientWidth + 1;
    const isWider = one.clientWidth > 0 && one.scrollWidth > one.clientWidth + 1;
    const isOver = isWider && getComputedStyle(one).overflowX === "visible";
    return (isOut || isOver) && !one.closest(".scroll, .tabs, .hidden, .log, svg");
}).map((one) => one.tagName + "." + one.className + one.textContent.slice(0, 30))"""


OVERLAPS = """() => {
    const boxes = [...document.querySelectorAll(".strip-bar > *")].map((part) => {
        const box = document.createRange();
        box.selectNodeContents(part);
        return part.matches(".facts") ? box.getBoundingClientRect() : part.getBoundingClientRect();
    }).filter((box) => box.width > 0);
    return boxes.slice(1).filter((box, index) => box.top < boxes[index].bottom && box.left < boxes[index].right - 1);
}"""
"""Parts of the strip at the top that begin before the one to the left of them ends."""
WIDE_ROWS = "() => [...document.querySelectorAll('.rows tr')].filter((row) => row.clientWidth > 390).length"
HEIGHTS = "() => [...document.querySelectorAll('.rows tbody tr')].map((row) => row.getBoundingClientRect().height)"


@OWN_CONTROLLER
def test_very_long_words_do_not_overflow_the_page(page: Page, repository: Repository, url: str) -> None:
    repository.write("flows/wordy.py", WORDY)
    parameters = f"parameters: {{text: {LONG}, much: [{LONG}], fail: false}}"
    schedules = f"schedules: [{{cron: '0 9 * * *', parameters: {{text: {LONG}}}}}]"
    text = (
        f"name: wordy\nflow: flows/wordy.py:main\ndescription: {LONG}\ntags: [{'t' * 60}]\n{parameters}\n{schedules}\n"
    )
    repository.write("deployments/wordy.yaml", text)
    repository.write("deployments/bad.yaml", f"name: bad\ncommand: [echo]\n{'y' * 2000}: 1\n")
    repository.write(f"deployments/{LONG_NAME}.yaml", f"name: {LONG_NAME}\nflow: flows/wordy.py:main\n{parameters}\n")
    repository.git("config", "user.name", "Featherstonehaugh " * 5)
    repository.wait_for_revision(repository.commit("u" * 100))
    repository.trigger(LONG_NAME)
    good = repository.trigger("wordy")["run_id"]
    bad = repository.trigger("wordy", "--param", "fail=true", "--param", "text=" + "z" * 5000)["run_id"]
    repository.ask("hold", "wordy", "--reason", "w" * 500)
    log_in(page, repository, url)
    for path in (
        "/",
        "/deployments",
        "/deployments/wordy#run",
        "/deployments/wordy?tab=definition",
        "/deployments/wordy?tab=parameters",
        "/runs",
        *(f"/runs/{good}?tab={tab}" for tab in ("tasks&table=all", "artifacts", "parameters", "details")),
        f"/runs/{bad}",
        f"/runs/{bad}?tab=tasks&table=all",
        f"/runs/{bad}/diff",
        "/source",
        "/events",
    ):
        page.goto(url + path)
        expect(page.locator("#live")).to_have_text("live")
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate(STICKING_OUT) == [], (path, width)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)
            assert page.evaluate(OVERLAPS) == [], (path, width)
        assert page.evaluate(WIDE_ROWS) == 0, path
    page.set_viewport_size({"width": 1440, "height": 900})
    for path in ("/runs", "/deployments", "/events", "/backfills"):
        page.goto(url + path)
        expect(page.locator("#live")).to_have_text("live")
        heights = page.evaluate(HEIGHTS)
        assert max(heights, default=0) <= 29, (path, heights)
        top = page.evaluate("document.querySelector('.rows tbody, .empty').getBoundingClientRect().top")
        assert (900 - top) / 29 >= 22, path
    page.goto(f"{url}/deployments/wordy?tab=definition")
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 800})
        names = page.locator(".fields tbody th")
        widths = names.evaluate_all("all => all.map(one => one.getBoundingClientRect().width)")
        assert len(widths) >= 6
        assert min(widths) > 60, "a field's name is broken into its letters"


def test_long_values_scroll_in_a_box_accessible_by_keyboard(page: Page, repository: Repository, url: str) -> None:
    repository.write("flows/scrolled.py", WORDY)
    manifest = f"name: scrolled\nflow: flows/scrolled.py:main\nparameters: {{text: a, much: {list(range(1000))}}}\n"
    repository.write("deployments/scrolled.yaml", manifest)
    repository.wait_for_revision(repository.commit())
    run = repository.trigger("scrolled")["run_id"]
    log_in(page, repository, url)
    for path, names in (
        (f"/runs/{run}?tab=parameters", ("Parameters", "Result")),
        ("/deployments/scrolled?tab=definition", ("parameters",)),
    ):
        page.goto(url + path)
        for name in names:
            box = page.get_by_role("region", name=name, exact=True)
            expect(box).to_have_attribute("tabindex", "0")
            assert page.evaluate("one => one.scrollHeight > one.clientHeight", box.element_handle()), name
            box.focus()
            page.keyboard.press("End")
            page.wait_for_function("one => one.scrollTop > 0", arg=box.element_handle())


def test_a_long_reason_has_one_line_in_a_list_and_is_complete_on_the_run_page(
    page: Page, repository: Repository, url: str
) -> None:
    repository.write("flows/wordy.py", WORDY)
    repository.write("deployments/reasons.yaml", "name: reasons\nflow: flows/wordy.py:main\nparameters: {much: []}\n")
    repository.wait_for_revision(repository.commit())
    run = repository.trigger("reasons", "--param", "fail=true", "--param", "text=" + "long words " * 100)["run_id"]
    reason = repository.tell("runs", "show", run)["reason"]
    assert len(reason) > 400
    log_in(page, repository, url)
    page.goto(f"{url}/runs?deployment=reasons")
    cell = page.locator("tbody .reason")
    expect(cell).to_have_attribute("title", reason)
    page.set_viewport_size({"width": 1440, "height": 900})
    assert page.evaluate(HEIGHTS) == [pytest.approx(27, abs=2)]
    page.goto(f"{url}/runs/{run}")
    expect(page.locator("#heading .note")).to_have_text(reason.strip())


WIDER = """() => [...document.querySelectorAll(".scroll")]
    .filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.querySelector("caption").textContent)"""


@OWN_CONTROLLER
def test_on_a_phone_tables_are_lists_and_the_approval_comes_before_the_plan(
    page: Page, repository: Repository, url: str
) -> None:
    repository.write("flows/wordy.py", WORDY)
    for number in range(10):
        repository.write(f"deployments/m{number}.yaml", f"name: m{number}\ncommand: [echo]\n")
    repository.write("deployments/wordy.yaml", "name: wordy\nflow: flows/wordy.py:main\nparameters: {much: []}\n")
    repository.wait_for_revision(repository.commit())
    run = repository.trigger("wordy", "--param", "fail=true", "--param", "text=" + "words " * 20)["run_id"]
    for number in range(10):
        repository.remove(f"deployments/m{number}.yaml")
    repository.commit()
    page.set_viewport_size({"width": 390, "height": 800})
    log_in(page, repository, url)
    page.goto(f"{url}/source")
    expect(page.locator("#withheld tbody tr")).to_have_count(10)
    assert page.evaluate(WIDER) == []
    for table in ("#passes", "#withheld"):
        row = page.locator(f"{table} tbody tr").first
        assert page.evaluate("one => getComputedStyle(one).display", row.element_handle()) == "flex"
    button, plan = page.get_by_role("button", name="Approve these deletions"), page.locator("#withheld details")
    below = "([one, other]) => other.getBoundingClientRect().top - one.getBoundingClientRect().bottom"
    assert page.evaluate(below, [button.element_handle(), plan.element_handle()]) >= 0
    repository.write("deployments/bad.yaml", "name: bad\ncommand: 5\n")
    daily = "schedules: [{cron: '30 2 * * *', timezone: Europe/Berlin}]"
    repository.write("deployments/warned.yaml", f"name: warned\ncommand: [echo]\n{daily}\n")
    repository.commit()
    expect(page.locator("#findings .findings")).to_have_count(3)  # one list for each code
    for above, next_list in itertools.pairwise(page.locator("#findings .findings").element_handles()):
        assert page.evaluate(below, [above, next_list]) >= 8
    page.goto(f"{url}/runs/{run}?tab=tasks&table=all")
    expect(page.locator("#tasks tbody tr")).to_have_count(2)
    assert page.evaluate(WIDER) == []
