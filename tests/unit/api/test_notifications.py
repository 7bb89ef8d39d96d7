"""The API of notifications: the recorded messages, channels and incidents, and the test of an unknown channel."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from controller.client import Client, ProblemError
from controller.clock import SystemClock
from controller.model.notifications import (
    Announcement,
    ChannelState,
    ChannelStatus,
    Incident,
    IncidentMember,
    Message,
    MessageState,
    Trouble,
)
from controller.notification_settings import NotificationSettings
from controller.store import Store, Transaction, incidents, messages
from tests.conftest import new_repository
from tests.receivers import free_port
from tests.unit.api.conftest import Served, serve

pytestmark = pytest.mark.integration

MEMBERS = 25
SECRET = "s3cr3t-of-the-webhook"
NOW = SystemClock().now()  # older messages would be deleted


def message_id(number: int) -> str:
    return f"01a20a24-34e0-7000-97e2-{number:012x}"


def record_messages(tx: Transaction) -> None:
    """Record a message that was sent, one that waits, one that is undeliverable, and a heartbeat."""
    states = (MessageState.SENT, MessageState.WAITING, MessageState.UNDELIVERABLE, MessageState.SENT)
    new = [
        Message(
            id=message_id(number),
            channel="ops",
            state="heartbeat" if number == 3 else "failed",
            title=f"title {number}",
            body="body",
            created_at=NOW,
            not_before=NOW + timedelta(days=200 * 365),
            deployment="add" if number else None,
            payload={"secret": "payload"},
            delivery=state,
            sent_at=NOW if state is MessageState.SENT else None,
        )
        for number, state in enumerate(states)
    ]
    messages.add(tx, new)


def record_incidents(tx: Transaction) -> None:
    """Record an incident with many members that is open, and one that is over."""
    for key, closed_at in (("a", NOW), ("b", None)):
        incident = Incident(id=0, key=key, trouble=Trouble.FAILED, cause=f"cause {key}", opened_at=NOW)
        number = incidents.add(tx, incident).id
        incidents.save_members(
            tx,
            [
                IncidentMember(
                    incident_id=number,
                    subject=f"d{member}",
                    trouble=Trouble.FAILED,
                    since=NOW + timedelta(seconds=member),
                    closed_at=closed_at or (NOW if member < 10 else None),
                )
                for member in range(MEMBERS)
            ],
        )
        incidents.save_announcements(tx, [Announcement(incident_id=number, channel="ops", updated_at=NOW)])
        if closed_at is not None:
            incidents.close(tx, number, closed_at)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    top = tmp_path_factory.mktemp("notifications")
    repository = new_repository(top / "repo")
    repository.commit({"deployments/add.yaml": "name: add\ncommand: ['true']\n"})
    (top / "notify.yaml").write_text(f"channels:\n  ops: {{webhook: 'http://127.0.0.1:{free_port()}/{SECRET}'}}\n")
    settings = NotificationSettings(config=top / "notify.yaml", has_deployment_metrics=False)
    controller = serve(repository, top / "state", notifications=settings)
    store = Store.open(top / "state" / "state.db")
    status = ChannelStatus(
        name="ops", kind="webhook", state=ChannelState.FAILING, message="Refused.", since=NOW, sent_at=None
    )
    with store.write() as tx:
        record_messages(tx)
        record_incidents(tx)
        messages.save_channel(tx, status)
    store.close()
    yield controller
    controller.controller.stop()


@pytest.fixture
def client(served: Served, tmp_path: Path) -> Client:
    del tmp_path
    return Client.of_state(served.state)


def test_messages_are_listed_newest_first_without_heartbeats_and_payloads(served: Served, client: Client) -> None:
    listed = list(client.messages())  # other tests may have tested the channel
    ids = [message["id"] for message in listed if message["state"] != "test"]
    assert ids == [message_id(number) for number in (2, 1, 0)]
    assert [message["title"] for message in client.messages(deployment="add")] == ["title 2", "title 1"]
    undelivered = [
        message for message in client.messages(delivery=["waiting", "undeliverable"]) if message["state"] != "test"
    ]
    assert [message["delivery"] for message in undelivered] == ["undeliverable", "waiting"]
    path = f"/api/v1/notifications/messages?limit={len(listed) - 1}"
    page = served.get(path)
    assert "payload" not in page.text
    following = served.get(f"{path}&cursor={page.json()['next']}").json()
    assert ([item["title"] for item in following["items"]], following["next"]) == (["title 0"], None)


def test_channels_are_listed_with_their_state(client: Client) -> None:
    [channel] = client.channels()
    assert (channel["name"], channel["kind"], channel["state"]) == ("ops", "webhook", "failing")


def test_incidents_have_their_first_members_open_ones_first(client: Client) -> None:
    still_open, over = client.incidents()
    assert [still_open["cause"], over["cause"]] == ["cause b", "cause a"]
    assert [member["subject"] for member in still_open["members"]] == [f"d{n}" for n in (*range(10, 25), *range(5))]
    assert (still_open["member_count"], still_open["channels"]) == (MEMBERS, ["ops"])
    assert [incident["id"] for incident in client.incidents(is_open=True)] == [still_open["id"]]
    assert over["closed_at"] is not None


def test_a_test_of_an_unknown_channel_is_refused(client: Client) -> None:
    hints = {"unknown": "Declared channels: ops.", "a/b": "See `controller notify channels`."}
    for name, hint in hints.items():
        with pytest.raises(ProblemError) as error:
            client.test_channel(name)
        assert (error.value.status, error.value.reason) == (404, "NotFound")
        assert error.value.hint == hint


def test_a_failed_test_of_a_channel_is_reported_and_counted_without_the_url(served: Served, client: Client) -> None:
    message = client.test_channel("ops")
    assert (message["delivery"], message["sent_at"], message["attempts"]) == ("undeliverable", None, 1)
    assert message["error"]
    [channel] = client.channels()
    assert (channel["state"], channel["message"]) == ("failing", message["error"])
    metrics = served.get("/metrics").text
    assert 'controller_notification_deliveries_total{result="failed"} 1.0' in metrics
    log = served.get("/api/v1/notifications/messages").text
    assert SECRET not in log + metrics + str(message) + str(channel)


def test_series_of_deployments_can_be_turned_off(served: Served) -> None:
    assert "controller_deployment_last_success_timestamp_seconds" not in served.get("/metrics").text
