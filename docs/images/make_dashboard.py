"""Draws the pictures of the dashboard in docs/images: pages of a real controller, in Chromium.

    PYTHONPATH=. .venv/bin/python docs/images/make_dashboard.py

It creates a git repository with invented deployments in a temporary directory, lets a controller apply it, adds a day
of invented history to the state, and then triggers real runs of several kinds. Only the location of the repository
is replaced, by `~/flows`.
"""

import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

from playwright.sync_api import Page, sync_playwright

from benchmarks.history import write_history
from controller.client import Client

HERE = Path(__file__).parent
REGIONS = ("de", "es", "fr", "it", "nl", "pl")
RUNS = 235
NIGHTLY = "nightly-training-of-the-recommendation-model-for-all-markets"

SALES = """
    import time
    from typing import Literal

    from controller import flow, task


    @task
    def extract(region):
        time.sleep(0.3 + len(region) / 20)
        return [region]


    @task
    def clean(rows):
        time.sleep(0.25)
        return rows


    @task(tags=["report"])
    def total(parts):
        time.sleep(0.3)
        return TOTAL


    @task
    def publish(amount, threshold):
        time.sleep(0.2)
        if amount < threshold:
            raise ValueError(f"sales of {amount} are below {threshold}")
        return amount


    @flow(flow_run_name="sales of {day}")
    def sales(
        regions: list[str] = ["north", "south", "west"],
        day: str = "today",
        currency: Literal["EUR", "USD"] = "EUR",
        dry_run: bool = False,
        threshold: float = 0.5,
        limit: int | None = None,
    ) -> float:
        cleaned = [clean.submit(extract.submit(region)) for region in regions]
        return publish.submit(total.submit(cleaned), threshold).result()
"""
OTHERS = """
    import time
    from datetime import date

    from controller import flow, task


    def load() -> None:
        raise ConnectionError("the database at db.internal:5432 refused the connection")


    @task
    def check(number):
        if number == 2:
            raise ValueError("12 rows have no price")
        return number


    @task
    def publish(numbers):
        return sum(numbers)


    @flow
    def pipeline() -> int:
        return publish.submit(check.map([1, 2, 3])).result()


    def count_stock(day: date) -> None:
        if day.day in (9, 17, 18):
            raise FileNotFoundError(f"there is no export of {day}")


    def train() -> None:
        print("epoch 1 of 40", flush=True)
        time.sleep(600)
"""


DEPLOYMENTS = {
    "deployments/sales.yaml": """
        name: sales-north
        flow: flows/sales.py:sales
        description: Yesterday's sales by region, in the currency of the report.
        tags: [sales, daily, finance]
        parameters: {regions: [north, south, west], currency: EUR}
        schedules:
          - {cron: "0 9 * * mon-fri", timezone: America/New_York}
          - {id: weekly, cron: "0 18 * * sun", timezone: America/New_York, parameters: {day: week}}
        ---
        name: sales-late
        flow: flows/sales.py:sales
        tags: [sales]
        parameters: {day: yesterday, threshold: THRESHOLD}
        schedules: [{interval: 30m}]
    """,
    "deployments/others.yaml": f"""
        name: warehouse-import
        flow: flows/others.py:load
        schedules: [{{interval: 30m}}]
        ---
        name: quality-pipeline
        flow: flows/others.py:pipeline
        schedules: [{{interval: 30m}}]
        ---
        name: {NIGHTLY}
        flow: flows/others.py:train
        schedules: [{{cron: "30 3 * * *", timezone: Europe/Berlin}}]
        ---
        name: archive
        command: ["true"]
        schedules: [{{cron: "0 */4 * * *"}}]
        ---
        name: heartbeat
        command: ["true"]
        schedules: [{{interval: 30m}}]
        ---
        name: stock-levels
        flow: flows/others.py:count_stock
        parameters: {{day: {{from: due_time, shift: -1d, format: date}}}}
        schedules: [{{cron: "0 5 * * *", timezone: Europe/Berlin}}]
        ---
        name: slow-export
        command: ["true"]
        schedules: [{{interval: 1h}}]
        ---
        name: cleanup
        command: ["true"]
        schedules: [{{cron: "15 2 * * *"}}]
    """,
}
LEGACY = """
    name: legacy-REGION
    command: [echo, REGION]
    schedules: [{cron: "0 4 * * *"}]
"""


def main() -> None:
    """Draw the pictures."""
    with tempfile.TemporaryDirectory() as directory, dashboard(Path(directory)) as client, sync_playwright() as driver:
        program = shutil.which("chromium") or shutil.which("chromium-headless-shell")
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            context = browser.new_context(
                color_scheme=scheme,
                timezone_id="Europe/Berlin",
                locale="en-GB",
                viewport={"width": 1280, "height": 640},
            )
            page = context.new_page()
            page.goto(client.login_link())
            page.wait_for_url("**:*/")
            draw_dark(page) if scheme == "dark" else draw_light(page)
        browser.close()


def draw_light(page: Page) -> None:
    """Draw the overview, a deployment, the backfills, and a failed backfill."""
    save(page, "/", "dashboard", height=1000)
    save(page, "/deployments/sales-north", "deployment", height=900)
    save(page, "/backfills", "backfills", height=480)
    save(page, str(page.locator("td.id a").last.get_attribute("href")), "backfill", height=840)


def draw_dark(page: Page) -> None:
    """Draw a failed run, deletions that await approval, and the overview on a phone."""
    save(page, "/runs?deployment=sales-late&state=failed", None, height=640)
    save(page, str(page.locator("td.id a").first.get_attribute("href")), "run", height=1000)
    save(page, "/source", "source", height=660)
    page.set_viewport_size({"width": 390, "height": 844})
    save(page, "/", "phone", height=844, width=390)


def save(page: Page, path: str, name: str | None, *, height: int, width: int = 1280) -> None:
    """Open a page, and save the upper part of it as a picture of this name."""
    page.set_viewport_size({"width": width, "height": height})
    page.goto(page.url.partition("//")[0] + "//" + page.url.split("/")[2] + path)
    page.get_by_text("live", exact=True).wait_for()
    page.locator(".repo").evaluate("element => { element.textContent = '~/flows' }")
    if name is not None:
        page.screenshot(path=HERE / f"{name}.png", animations="disabled")


@contextmanager
def dashboard(top: Path) -> Iterator[Client]:
    """Prepare the repository and its state, run a controller that has something to show, and yield its client."""
    repository, state = top / "flows", top / "state"
    repository.mkdir(parents=True)
    subprocess.run(["git", "-C", str(repository), "init", "--quiet", "-b", "main"], check=True)
    write(repository, TOTAL="len(parts) / 4", THRESHOLD="0.25")
    with controller(repository, state) as client:
        client.reconcile(wait=True)
    write_history(state / "state.db", RUNS, days=1)
    with controller(repository, state) as client:
        client.wait(client.trigger("sales-late")["run_id"])
        for region in REGIONS:
            (repository / f"deployments/eu/{region}.yaml").unlink()
        write(repository, TOTAL="sum(map(len, parts)) / 5", THRESHOLD="0.75, limit: 20")
        client.reconcile(wait=True)
        client.trigger(NIGHTLY)
        client.hold("archive", "the disk of the archive is replaced on Friday")
        for name in ("sales-north", "sales-north", "quality-pipeline", "sales-late", "warehouse-import", "sales-north"):
            client.wait(client.trigger(name)["run_id"])
        backfill(client)
        yield client


def backfill(client: Client) -> None:
    """Make three backfills: one that failed for some due times, one in progress, and one that is paused."""
    week = client.backfill("stock-levels", "2026-03-01T00:00:00Z", "2026-03-31T00:00:00Z", parallel=4)
    for run_id in week["run_ids"]:
        client.wait(run_id)
    client.backfill(NIGHTLY, "2026-05-01T00:00:00Z", "2026-06-30T00:00:00Z")
    paused = client.backfill("cleanup", "2026-01-01T00:00:00Z", "2026-04-10T00:00:00Z")
    for run_id in paused["run_ids"][:17]:
        client.wait(run_id)
    client.pause_backfill(str(paused["backfill_id"]))


@contextmanager
def controller(repository: Path, state: Path) -> Iterator[Client]:
    """Run a controller, wait until it listens, and yield its client."""
    arguments = ["run", "--repo", str(repository), "--state-dir", str(state), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        [sys.executable, "-m", "controller", *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            next(line for line in process.stdout if "Dashboard" in line)
            threading.Thread(target=process.stdout.read, daemon=True).start()
            yield Client.of_state(state)
        finally:
            process.terminate()


def write(repository: Path, **values: str) -> None:
    """Write the flows and the deployments that exist, with these values filled in, and commit them."""
    files = {"flows/sales.py": SALES, "flows/others.py": OTHERS, **DEPLOYMENTS}
    if values["THRESHOLD"] == "0.25":
        files |= {f"deployments/eu/{region}.yaml": LEGACY.replace("REGION", region) for region in REGIONS}
    for name, text in files.items():
        for key, value in values.items():
            text = text.replace(key, value)
        path = repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip(), encoding="utf-8")
    identity = ["-c", "user.name=example", "-c", "user.email=example@localhost"]
    for command in (["add", "--all"], [*identity, "commit", "--quiet", "-m", "The deployments"]):
        subprocess.run(["git", "-C", str(repository), *command], check=True)


if __name__ == "__main__":
    main()
