"""A small company: files arrive, are transformed by region and reported, and a shop reports refunds.

The controller is killed at random moments meanwhile. Everything runs exactly once.
"""

import hashlib
import hmac
import random
import threading
import urllib.request
from datetime import timedelta
from pathlib import Path

import pytest

from controller.clock import SystemClock
from tests.acceptance.conftest import Start
from tests.acceptance.harness import Repository, Running, until
from tests.receivers import free_port

pytestmark = pytest.mark.acceptance

FLOWS = """
def ingest(path: str):
    return {"rows": len(open(path).read().split())}


def transform(region: str, rows: int):
    return {"region": region, "rows": rows}


def report(eu: int, us: int):
    return eu + us


def check(order: str):
    return order
"""
PROJECT = "calendars: {de-by: {holidays: DE-BY}}\n"
DOCUMENTS = """\
name: ingest
flow: flows/company.py:ingest
on: [{files: {path: INBOX, pattern: "*.csv", settle: 0.1s, parameter: path}}]
---
name: transform-{region}
matrix: {region: [eu, us]}
flow: flows/company.py:transform
after: {deployment: ingest, on_redo: run}
parameters: {region: {from: matrix.region}, rows: {from: ingest.result.rows}}
---
name: Daily_Report
flow: flows/company.py:report
run_name: "report-{due_time:%Y}"
after: [{deployment: transform-eu, on_redo: run}, {deployment: transform-us, on_redo: run}]
parameters: {eu: {from: transform-eu.result.rows}, us: {from: transform-us.result.rows}}
timezone: Europe/Berlin
schedules:
- {at: "DUE"}
- {cron: "30 7 * * *", except: [de-by]}
---
name: refund-check
flow: flows/company.py:check
on: [{webhook: {name: shop, secret: {env: SHOP_HOOK}, parameters: {order: $.order}}}]
"""
KILLS = 5


def report_refund(port: int) -> int:
    """Send a signed request, and return the status of the answer."""
    body = b'{"order": "A-1"}'
    signature = hmac.new(b"secret", body, hashlib.sha256).hexdigest()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/hooks/shop", body, {"X-Signature": signature})
    with urllib.request.urlopen(request, timeout=60) as response:
        return int(response.status)


def test_everything_runs_once_although_the_controller_is_killed_at_random(
    repository: Repository, running: Start, tmp_path: Path
) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    due = (SystemClock().now() + timedelta(seconds=15)).isoformat(timespec="seconds")
    repository.write("controller.yaml", PROJECT)
    repository.write("flows/company.py", FLOWS)
    repository.write("deployments/company.yaml", DOCUMENTS.replace("INBOX", str(inbox)).replace("DUE", due))
    assert repository.ask("validate").code == 0
    repository.commit("A small company")
    port = free_port()

    def start() -> Running:
        return running(repository, "--watch-root", str(tmp_path), "--listen", f"127.0.0.1:{port}", SHOP_HOOK="secret")

    controller = start()
    repository.wait_for_revision(None)
    (inbox / "a.csv").write_text("one two three")
    for _ in range(KILLS):
        threading.Event().wait(random.uniform(0, 1.5))
        controller.kill()
        controller = start()
    report = repository.wait_for_run("Daily_Report")
    assert (report["result"], report["name"], len(report["upstream"])) == (6, f"report-{due[:4]}", 2)
    for name in ("ingest", "transform-eu", "transform-us"):
        assert [run["state"] for run in repository.runs(name)] == ["succeeded"], name
    assert report_refund(port) == 202
    assert repository.wait_for_run("refund-check")["result"] == "A-1"

    [ingest] = repository.runs("ingest")
    repository.tell("runs", "retry", ingest["id"])
    until(lambda: repository.count_runs("Daily_Report", "succeeded") >= 2, "the report to be made again")
    until(lambda: repository.count_runs("transform-us", "succeeded") == 2, "the other region to be made again")
    assert [len(repository.runs(name)) for name in ("transform-eu", "transform-us")] == [2, 2]
    # Each region releases the report again, unless both have finished before the report starts.
    assert len(repository.runs("Daily_Report")) in (2, 3)
    assert {run["scheduled_for"] for run in repository.runs("Daily_Report")} == {report["scheduled_for"]}

    skipped = repository.tell("next", "Daily_Report", "--after", "2026-12-24T12:00", "-n", "2")["skipped"]
    assert [row["reason"].partition(":")[0] for row in skipped] == ["calendar de-by"] * 2
    assert "transform-eu" in repository.ask("graph", "ingest").out
    text = DOCUMENTS.replace("INBOX", str(inbox)).replace("DUE", due)
    repository.write("deployments/company.yaml", text.replace("on: [{files", "after: Daily_Report\non: [{files"))
    refused = repository.ask("validate")
    assert refused.code == 1
    assert "deployments wait for each other: " in refused.out
    assert "ingest (deployments/company.yaml:3)" in refused.out
