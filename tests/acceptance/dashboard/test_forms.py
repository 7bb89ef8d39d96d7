"""Forms and labels of the dashboard in a real browser."""

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.dashboard.visitor import log_in
from tests.acceptance.harness import Repository

pytestmark = pytest.mark.acceptance

AGES = """
from datetime import datetime, timedelta

def main(age: timedelta, since: datetime, most: timedelta | None = None) -> str:
    return f"{age} {most}"
"""


def test_a_duration_is_accepted_in_the_documented_formats(page: Page, repository: Repository, url: str) -> None:
    repository.write("flows/ages.py", AGES)
    manifest = "name: ages\nflow: flows/ages.py:main\nparameters: {age: 90, since: 0}\n"
    repository.write("deployments/ages.yaml", manifest)
    repository.wait_for_revision(repository.commit())
    log_in(page, repository, url)
    for most, result in (
        (None, "0:01:30 None"),
        ("90.5", "0:01:30 0:01:30.500000"),
        ("01:30:00", "0:01:30 1:30:00"),
        ("PT1H30M", "0:01:30 1:30:00"),
    ):
        page.goto(f"{url}/deployments/ages")
        expect(page.get_by_label("most")).to_have_accessible_description("seconds, 01:30:00 or PT1H30M")
        if most is not None:
            page.get_by_label("most").fill(most)
        page.get_by_role("button", name="Run now").click()
        page.wait_for_url(f"{url}/runs/*")
        expect(page.locator("#facts")).to_contain_text(f'"{result}"')


MIDDLES = """() => {
    const middle = (box) => (box.top + box.bottom) / 2;
    const boxes = (wanted) => [...document.querySelectorAll(wanted)].map((one) => one.getBoundingClientRect());
    const [top, bottom] = boxes(".history-axis span");
    const lines = boxes(".history-bars .axis");
    return [middle(top) - middle(lines[0]), middle(bottom) - middle(lines[1])];
}"""


def test_a_sparse_run_history_covers_existing_runs_only(page: Page, repository: Repository, url: str) -> None:
    repository.write("deployments/sparse.yaml", "name: sparse\ncommand: [echo]\n")
    repository.wait_for_revision(repository.commit())
    for _ in range(2):
        repository.wait_for_end(repository.trigger("sparse")["run_id"])
    log_in(page, repository, url)
    page.goto(f"{url}/deployments/sparse")
    ends = page.locator(".history-ends")
    expect(ends).to_contain_text("2 runs, ")
    times = ends.locator("time").element_handles()
    bar = page.locator(".history-bars a").first.element_handle()
    left = "([one, other]) => one.getBoundingClientRect().left - other.getBoundingClientRect().left"
    chart = page.locator(".history").element_handle()
    assert page.evaluate(left, [times[0], chart]) > 0.5 * page.evaluate(left, [bar, chart])
    assert page.evaluate(MIDDLES) == pytest.approx([0, 0], abs=2)


def test_the_login_page_sends_no_rejected_request_and_redirects_open_sessions(
    page: Page, repository: Repository, url: str
) -> None:
    refused: list[str] = []
    page.on("response", lambda answer: refused.append(answer.url) if answer.status >= 400 else None)
    with page.expect_response(lambda answer: answer.request.resource_type == "fetch"):
        page.goto(f"{url}/runs")
    expect(page.get_by_label("Token or login code")).to_be_visible()
    log_in(page, repository, url)
    page.goto(f"{url}/login?next=/events")
    page.wait_for_url(f"{url}/events")
    elsewhere = url.replace("127.0.0.1", "localhost")
    link = f"<a href='{url}/runs'>there</a>"
    page.route(f"{elsewhere}/from", lambda route: route.fulfill(body=link, content_type="text/html"))
    page.goto(f"{elsewhere}/from")
    page.get_by_role("link", name="there").click()
    page.wait_for_url(f"{url}/runs")
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    assert refused == []
