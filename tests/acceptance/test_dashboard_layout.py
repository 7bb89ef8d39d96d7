"""Where things stand on the pages of the dashboard, measured in a real browser, on a desk and on a phone."""

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.harness import Repository
from tests.acceptance.visitor import TASKS, log_in

pytestmark = pytest.mark.acceptance

SHARES = """([picture, labels]) => {
    const whole = document.querySelector(picture).getBoundingClientRect();
    return [...document.querySelectorAll(labels)].map((one, index, all) => {
        const box = one.getBoundingClientRect();
        const x = index === 0 ? box.left : index === all.length - 1 ? box.right : (box.left + box.right) / 2;
        return Math.round((x - whole.left) / whole.width * 1000) / 10;
    });
}"""
"""Where the labels of an axis stand, in hundredths of the picture: the first by its left end, the last by its right."""


def test_labels_of_time_stand_where_their_time_is(page: Page, repository: Repository, url: str) -> None:
    repository.write("flows/tasks.py", TASKS)
    repository.write("deployments/tasks.yaml", "name: tasks\nflow: flows/tasks.py:main\n")
    repository.wait_for_revision(repository.commit())
    run = repository.trigger("tasks")["run_id"]
    log_in(page, repository, url)
    for path, picture, labels in (
        ("/", ".timeline", ".timeline-ticks > *"),
        (f"/runs/{run}", ".gantt svg", ".gantt-ticks > *"),
    ):
        page.goto(url + path)
        expect(page.locator("#live")).to_have_text("live")
        expect(page.locator(labels)).to_have_count(5)
        assert page.evaluate(SHARES, [picture, labels]) == pytest.approx([0, 25, 50, 75, 100], abs=0.3), path
