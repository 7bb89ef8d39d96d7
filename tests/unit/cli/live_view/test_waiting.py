"""The live view says what runs wait for, what starts runs without a due time, and shows values and times readably."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from controller.model.findings import Finding
from controller.model.gates import Gate
from controller.model.runs import RunState
from controller.model.status import Condition, ConditionStatus, ConditionType, InventoryEntry
from controller.model.triggers import UpstreamOutcome
from controller.store import Transaction, gates, holds, inventory, runs, source_status
from tests.conftest import NOW
from tests.unit.cli.live_view.conftest import State, make_run, serve_state

REPORTS = ("daily-report-of-all-regions", "weekly-report-of-all-regions", "finance-close-month")
INGEST = "platform-image-resize"


def declare(tx: Transaction, name: str, **document: Any) -> InventoryEntry:
    entry = inventory.find(tx, "warehouse-cube")
    assert entry is not None
    return replace(entry, name=name, document={"name": name, "command": ["true"], **document})


def wait_for(tx: Transaction, name: str, number: int, upstream: str) -> None:
    """Create the run of a due time that waits for an upstream deployment."""
    run = replace(make_run(number, name, RunState.PENDING, 2), scheduled_for=NOW - timedelta(minutes=2))
    runs.insert_all(tx, [run])
    due = NOW - timedelta(hours=1)
    gate = Gate(
        run_id=run.id,
        upstream=upstream,
        condition=UpstreamOutcome.SUCCEEDED,
        due_time=due,
        since=None,
        until=NOW + timedelta(hours=22),
    )
    gates.insert_all(tx, [gate])


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[State]:
    """A state in which three runs wait for one deployment."""
    served = serve_state(tmp_path, 5)
    with served.controller._store.write() as tx:
        daily = {"cron": "0 9 * * *", "timezone": "UTC"}
        inventory.save(tx, [declare(tx, name, after=INGEST, schedules=[daily]) for name in REPORTS])
        for number, name in enumerate(REPORTS, start=500):
            wait_for(tx, name, number, INGEST)
    yield served
    served.controller.stop()


def test_groups_of_waiting_runs_name_their_upstream_deployments_on_a_small_screen(waiting: State) -> None:
    screen = waiting.screen(80, 24)
    [pinned] = [line for line in screen.lines if "runs wait for" in line]
    assert pinned.startswith(f"  ○ 3 runs wait for {INGEST}: {REPORTS[0]}, ")
    for tab in "25":
        lines = screen.press(tab).lines
        [group] = [line for line in lines if "runs wait for" in line]
        assert f"3 runs wait for {INGEST}: " in group
        index = next(index for index, line in enumerate(lines) if line == group)
        while not screen.lines[index].startswith("> "):
            screen.press("j")
        assert {name for name in REPORTS if name in " ".join(screen.lines[index:])} == set(REPORTS)


def test_a_deployment_whose_run_waits_is_not_shown_as_running(waiting: State) -> None:
    screen = waiting.screen(160, 30).press("3")
    row = next(line for line in screen.lines if line.startswith(f"  {REPORTS[0]}"))
    assert "○ waiting" in row
    assert f"waits for {INGEST} (due 2026-06-01 11:00:00 UTC)" in row
    assert "running" not in row


@pytest.fixture
def triggered(tmp_path: Path) -> Iterator[State]:
    """A state whose deployments have no schedules, but other triggers."""
    served = serve_state(tmp_path, 5)
    with served.controller._store.write() as tx:
        plain = [entry for entry in inventory.entries(tx).values() if "schedules" in entry.document]
        inventory.save(tx, [declare(tx, entry.name) for entry in plain])
        files = [{"files": {"path": "/srv/inbox", "pattern": "*.csv"}}]
        webhooks = [{"webhook": {"name": "shop", "secret": {"env": "SHOP"}}}]
        inventory.save(tx, [declare(tx, "load", on=files), declare(tx, "refund", on=webhooks)])
        inventory.save(tx, [declare(tx, "publish", after=["load", {"deployment": "refund", "on": "finished"}])])
    yield served
    served.controller.stop()


def test_a_state_without_due_times_says_what_starts_runs(triggered: State) -> None:
    text = triggered.screen(160, 30).text
    assert "nothing is due; other deployments, new files and webhooks start runs" in text


def test_the_page_of_a_deployment_without_due_times_says_what_starts_it(triggered: State) -> None:
    starts = {
        "load": "starts for new files in /srv/inbox that match *.csv",
        "refund": "starts for requests to /hooks/shop",
        "publish": "starts after load (succeeded) and refund (finished)",
        "warehouse-cube": "nothing is due",
    }
    for name, text in starts.items():
        screen = triggered.screen(120, 30).press("3", "/").type(name).press("enter", "enter")
        assert f"  {text}" in screen.lines[3], name
    with triggered.controller._store.write() as tx:
        inventory.save(tx, [declare(tx, "load", suspend=True)])
    screen = triggered.screen(120, 30).press("3", "/").type("load").press("enter", "enter")
    assert "suspended  nothing is due" in screen.lines[3]


def test_a_missing_upstream_deployment_is_shown_once(triggered: State) -> None:
    message = "deployments/all.yaml:3:8: there is no deployment named gone"
    ready = Condition(
        type=ConditionType.READY,
        status=ConditionStatus.FALSE,
        reason="InvalidManifest",
        message=message,
        last_transition_time=NOW,
    )
    stalled = replace(
        ready,
        type=ConditionType.STALLED,
        status=ConditionStatus.TRUE,
        reason="UpstreamMissing",
        message="Waits for gone, which is not active.",
    )
    finding = Finding(
        code="UnknownUpstream",
        message="there is no deployment named gone",
        file="deployments/all.yaml",
        line=3,
        column=8,
        deployment="publish",
    )
    with triggered.controller._store.write() as tx:
        inventory.save(tx, [replace(declare(tx, "publish", after="gone"), conditions=(ready, stalled))])
        source = source_status.find(tx)
        assert source is not None
        source_status.save(tx, replace(source, findings=(finding,)))
    screen = triggered.screen(120, 30)
    [row] = [line for line in screen.lines if "publish" in line]
    assert "no upstream" in row
    text = screen.press("3", "/").type("publish").press("enter", "enter").text
    assert text.count(message) == text.count("there is no deployment named gone") == 1
    assert text.count("! Waits for gone, which is not active.") == 1


def test_a_result_is_shown_as_json(triggered: State) -> None:
    run = make_run(600, "warehouse-cube", RunState.SUCCEEDED, 1, result={"rows": None, "ok": True, "name": "straße"})
    with triggered.controller._store.write() as tx:
        runs.insert_all(tx, [run])
    screen = triggered.screen(160, 30).press("4")
    assert '{"rows": null, "ok": true, "name": "straße"}' in screen.text


def test_times_of_another_year_have_the_year(triggered: State) -> None:
    until = NOW.replace(year=NOW.year + 1)
    yearly = {"cron": "0 9 1 1 *", "timezone": "UTC"}
    with triggered.controller._store.write() as tx:
        inventory.save(tx, [declare(tx, "yearly", schedules=[yearly])])
        holds.save(tx, holds.find_all(tx)["platform-image-resize"])
        holds.save(tx, replace(holds.find_all(tx)["platform-image-resize"], deployment="yearly", until=until))
    screen = triggered.screen(120, 30).press("3", "/").type("yearly").press("enter", "enter")
    assert "until 2027-06-01 12:00:00 UTC" in screen.text
    assert "next 2028-01-01 09:00 UTC, 2029-01-01 09:00 UTC" in screen.text
