"""The live view shows times in the time zone of the deployment's schedules, or else in that of the machine."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from controller.model.runs import RunState
from controller.model.status import Event, EventSeverity, Hold
from controller.store import events, holds, inventory, runs
from tests.conftest import NOW
from tests.unit.cli.live_view.conftest import State, make_run, serve_state

NAME = "finance-close-month"
OTHER = "warehouse-cube"


@pytest.fixture
def berlin(tmp_path: Path) -> Iterator[State]:
    """A state with a deployment in Berlin, and one without a time zone, of which runs wait for their next attempts."""
    served = serve_state(tmp_path, 5)
    soon = NOW + timedelta(hours=1)
    with served.controller._store.write() as tx:
        entry = inventory.find(tx, NAME)
        assert entry is not None
        schedule = {"cron": "0 9 * * *", "timezone": "Europe/Berlin"}
        inventory.save(tx, [replace(entry, document={**entry.document, "schedules": [schedule]})])
        for number, name in ((400, NAME), (401, OTHER)):
            run = replace(make_run(number, name, RunState.FAILED, 1), state=RunState.RETRYING, attempts=2)
            runs.insert_all(tx, [replace(run, not_before=soon, finished_at=None)])
        for about in (NAME, OTHER):
            message = "the next attempt starts at 2026-06-01 13:00:00 UTC"
            event = Event(time=NOW, severity=EventSeverity.INFO, reason="RunRetrying", message=message, about=about)
            events.append(tx, [event])
        holds.save(tx, Hold(deployment=NAME, reason="move", author="ada", since=NOW, until=soon))
    yield served
    served.controller.stop()


def test_the_times_in_reasons_and_messages_are_in_the_zone_of_the_deployment(berlin: State) -> None:
    screen = berlin.screen(160, 40)
    for tab in "46":
        lines = screen.press(tab).lines
        [own] = [line for line in lines if NAME in line and "starts at" in line]
        [other] = [line for line in lines if OTHER in line and "starts at" in line]
        assert "starts at 2026-06-01 15:00:00+02:00" in own
        assert "starts at 2026-06-01 13:00:00 UTC" in other


def test_the_zone_of_a_deployment_is_looked_up_once(berlin: State) -> None:
    screen = berlin.screen(160, 40).press("4", "6", "4", "6")
    for name in (NAME, OTHER):
        assert screen.client.requests.count(f"GET /deployments/{name}") == 1


def test_the_page_of_a_deployment_and_that_of_a_run_are_in_its_zone(berlin: State) -> None:
    screen = berlin.screen(120, 30).press("3", "/").type(NAME).press("enter", "enter")
    assert "next 06-02 09:00 CEST, 06-03 09:00 CEST" in screen.text
    assert "held by ada for 0s until 06-01 15:00:00 CEST" in screen.text
    assert "starts at 2026-06-01 15:00:00+02:00" in screen.press("enter").text
    assert "at 06-01 13:59:00 CEST" in screen.text


def test_the_time_of_an_event_has_its_zone(berlin: State) -> None:
    assert "  06-01 11:59:00 UTC   1m  " in berlin.screen(120, 50).press("6").text


def test_only_whole_fire_times_are_shown(berlin: State) -> None:
    lines = berlin.screen(80, 30).press("3", "/").type(NAME).press("enter", "enter").lines
    [schedule] = [line.rstrip() for line in lines if "next 06-02" in line]
    assert schedule == "every day at 09:00, Europe/Berlin  next 06-02 09:00 CEST, 06-03 09:00 CEST"


def test_a_hold_ends_at_a_time_in_the_zone_of_the_deployment(berlin: State) -> None:
    screen = berlin.screen(120, 30).press("3", "/").type(NAME).press("enter", "h", "y")
    screen.press("h").type("disk").press("enter").type("2026-06-02 08:00").press("enter")
    assert f"Held {NAME} until 06-02 08:00:00 CEST" in screen.text
