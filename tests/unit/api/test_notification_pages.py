"""The pages show channels, open incidents and messages, what was not delivered, and what to do next."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from controller.clock import SystemClock
from controller.model.notifications import (
    Announcement,
    ChannelState,
    ChannelStatus,
    DeadlineKind,
    DeadlineRecord,
    Incident,
    IncidentMember,
    Message,
    MessageState,
    MissedDeadline,
    SettingsProblem,
    Trouble,
)
from controller.notification_settings import NotificationSettings
from controller.store import Transaction, deadlines, incidents, messages
from tests.conftest import new_repository
from tests.unit.api.conftest import Served, serve

NOW = SystemClock().now()
EVIL = "<b>&'\"{{7*7}}"
WATCHED = """
name: watched
command: [echo, hi]
schedules: [{cron: "0 2 * * *", timezone: Europe/Berlin}]
expect: {start_within: 10m, success_every: 26h}
notify: [{to: [ops, nowhere], on: [failed, late], after: {failures: 2}, for: 5m}]
heartbeat: {env: HEARTBEAT_URL}
"""


def message(number: int, **values: object) -> Message:
    defaults: dict[str, object] = {
        "id": f"01a20a24-34e0-7000-97e2-{number:012x}",
        "channel": "ops",
        "state": "failed",
        "title": f"title {number}",
        "body": f"body {number}",
        "created_at": NOW,
        "not_before": NOW + timedelta(days=200 * 365),
        "deployment": "watched",
    }
    return Message(**{**defaults, **values})  # type: ignore[arg-type]


def record(tx: Transaction) -> None:
    """Record channels in each state, messages with each outcome, and an incident of many deployments."""
    states = {"mail": ChannelState.MISCONFIGURED, "ops": ChannelState.READY, "pager": ChannelState.FAILING}
    for name, state in states.items():
        reason = "" if state is ChannelState.READY else f"{EVIL} {name}"
        messages.save_channel(tx, ChannelStatus(name=name, kind="webhook", state=state, message=reason, since=NOW))
    waiting = message(2, channel="mail", title=EVIL, body=EVIL, attempts=3, error=f"refused {EVIL}")
    lost = message(3, channel="pager", state="source", deployment=None, delivery=MessageState.UNDELIVERABLE)
    sent = message(1, delivery=MessageState.SENT, sent_at=NOW, attempts=1)
    messages.add(tx, [sent, waiting, lost, message(4, state="heartbeat")])
    messages.save_settings_problem(tx, SettingsProblem(message="notify.yaml:3:1: unknown key", since=NOW))
    incident = Incident(id=0, key="k", trouble=Trouble.FAILED, cause=f"OSError: {EVIL}", opened_at=NOW)
    number = incidents.add(tx, incident).id
    members = [
        IncidentMember(incident_id=number, subject=f"d{index}", trouble=Trouble.FAILED, since=NOW, failures=4)
        for index in range(9)
    ]
    incidents.save_members(tx, members)
    incidents.save_announcements(tx, [Announcement(incident_id=number, channel="ops", updated_at=NOW)])


@pytest.fixture(scope="module")
def notified(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    top: Path = tmp_path_factory.mktemp("notified")
    repository = new_repository(top / "repo")
    repository.commit({"deployments/watched.yaml": WATCHED})
    config = top / "notify.yaml"
    config.write_text("channels: {ops: {webhook: 'http://127.0.0.1:9/'}, pager: {webhook: 'http://127.0.0.1:9/'}}\n")
    served = serve(repository, top / "state", notifications=NotificationSettings(config=config))
    with served.controller._store.write() as tx:
        record(tx)
    yield served
    served.controller.stop()


def page(served: Served, path: str) -> str:
    answer = served.get(path, Accept="text/html")
    assert answer.status == 200, answer
    main = answer.text.partition("<main")[2]
    assert "<b>&'" not in main
    return main


def test_the_page_shows_channels_incidents_and_messages(notified: Served) -> None:
    text = page(notified, "/notifications")
    assert 'data-post="/api/v1/notifications/channels/ops/test"' in text
    for words in ("misconfigured", "failing", "unknown key", "9", "and 6 more", "title 1", "body 1", "3 attempts"):
        assert words in text
    assert '<a href="?delivery=waiting">1 waiting</a>' in text
    assert '<a class="bad" href="?delivery=undeliverable">1 undeliverable</a>' in text
    assert "title 4" not in text, "heartbeats are no messages"


def test_messages_are_filtered_by_channel_deployment_and_delivery(notified: Served) -> None:
    def titles(query: str) -> list[str]:
        text = page(notified, f"/notifications?{query}")
        return [title for title in ("title 1", "refused", "title 3") if title in text]

    assert titles("channel=ops") == ["title 1"]
    assert titles("delivery=undelivered") == ["refused", "title 3"]
    assert titles("delivery=undeliverable") == ["title 3"]
    assert titles("deployment=watched") == ["title 1", "refused"]
    assert "No messages match" in page(notified, "/notifications?channel=gone")
    assert "Unknown delivery" in page(notified, "/notifications?delivery=lost")
    assert titles("before=01a20a24-34e0-7000-97e2-000000000002") == ["title 1"]


def test_the_page_without_channels_says_how_to_declare_one(served: Served) -> None:
    text = page(served, "/notifications")
    assert "--notify-config FILE" in text
    assert "controller notify test ops" in text
    assert "No open incidents" in text


def test_a_deployment_shows_its_deadlines_its_rules_and_the_last_messages(notified: Served) -> None:
    schedule = page(notified, "/deployments/watched?tab=schedule")
    assert "A run starts within 10 min of its due time" in schedule
    assert "A run succeeds every 1 d 2 h" in schedule
    events = page(notified, "/deployments/watched?tab=events")
    assert "failed, late, after 2 failures in a row, if it lasts 5 min" in events
    assert "name channels that do not exist: nowhere" in events
    assert "title 1" in events
    assert "title 3" not in events
    assert "gets a heartbeat" in events


def test_a_missed_deadline_is_at_the_top_of_the_page(notified: Served) -> None:
    miss = MissedDeadline(
        deployment="watched",
        kind=DeadlineKind.SUCCESS_EVERY,
        due_time=None,
        deadline=NOW,
        since=NOW,
        reason="it failed",
    )
    record = DeadlineRecord(
        deployment="watched",
        kind=miss.kind,
        length=timedelta(hours=26),
        checked_at=NOW - timedelta(hours=26),
        miss=miss,
    )
    with notified.controller._store.write() as tx:
        deadlines.save(tx, [record])
    heading = page(notified, "/deployments/watched").partition('class="tabs"')[0]
    assert "Overdue since" in heading
    assert "No run has succeeded by" in heading


def test_a_deployment_without_deadlines_says_how_to_declare_them(served: Served) -> None:
    assert "expect: {start_within: 10m" in page(served, "/deployments/far?tab=schedule")
    assert "no channels are declared" in page(served, "/deployments/far?tab=events")
