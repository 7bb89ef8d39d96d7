"""A commit breaks a flow: a chat and a mailbox are notified, and again when the next commit repairs it.

The receivers are a real web server and a real SMTP server.
"""

import hashlib
import hmac
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.harness import Machine, Repository, until
from tests.receivers import Mailbox, Webhook, mailbox, webhook

pytestmark = pytest.mark.acceptance

KEY = "the-key-of-the-webhook"
BROKEN = "def report():\n    raise ValueError('the table orders is empty')\n"
REPAIRED = "def report():\n    return 1\n"
DEPLOYMENT = """
    name: report
    flow: flows/report.py:report
    notify: {to: [ops, mail], on: [failed, recovered]}
    """


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as receiver:
        yield receiver


@pytest.fixture
def mails() -> Iterator[Mailbox]:
    with mailbox() as receiver:
        yield receiver


@pytest.fixture
def config(machine: Machine, mails: Mailbox) -> Path:
    """The file with the channels, in its default place."""
    file = machine.home / ".config/controller/notify.yaml"
    file.parent.mkdir(parents=True)
    (machine.home / "key").write_text(KEY)
    file.write_text(
        "group_wait: 0s\n"
        "channels:\n"
        f"  ops: {{webhook: {{env: OPS_URL}}, hmac: {{file: {machine.home / 'key'}}}}}\n"
        f"  mail: {{url: 'mailto://127.0.0.1:{mails.port}?from=controller@example.org&to=oncall@example.org'}}\n"
    )
    return file


@pytest.fixture
def broken(repository: Repository) -> Repository:
    repository.write("flows/report.py", REPAIRED)
    repository.write("deployments/report.yaml", DEPLOYMENT)
    repository.commit("Add the report")
    return repository


def commit_flow(repository: Repository, text: str, subject: str) -> None:
    repository.write("flows/report.py", text)
    repository.wait_for_revision(repository.commit(subject))


@pytest.mark.usefixtures("config")
def test_a_commit_that_breaks_a_flow_is_reported_and_so_is_its_repair(
    broken: Repository, running: Start, hook: Webhook, mails: Mailbox
) -> None:
    controller = running(broken, "--public-url", "https://flows.example.org/", OPS_URL=hook.url)
    assert broken.ask("notify", "test", "ops").out == "delivered to ops\n"
    assert broken.ask("notify", "test", "mail").code == 0
    assert hook.messages[0]["state"] == "test"
    assert broken.trigger("report")["code"] == 0
    commit_flow(broken, BROKEN, "Report the orders of the day")
    run = broken.trigger("report")
    until(lambda: len(hook.messages) == 2 and len(mails.mails) == 2, "the failure")

    delivery, message = hook.deliveries[1], hook.messages[1]
    assert (message["state"], message["deployment"], message["run_id"]) == ("failed", "report", run["run_id"])
    assert "report" in message["title"]
    assert "the table orders is empty" in message["body"]
    assert "Report the orders of the day" in message["body"]
    assert "tester" in message["body"]
    assert f"https://flows.example.org/runs/{run['run_id']}" in message["body"] + str(message["url"])
    signed = delivery.headers["X-Controller-Timestamp"].encode() + b"." + delivery.body
    expected = hmac.new(KEY.encode(), signed, hashlib.sha256).hexdigest()
    assert delivery.headers["X-Controller-Signature"] == f"sha256={expected}"
    assert "report" in mails.subjects[1]

    commit_flow(broken, REPAIRED, "Report an empty table as zero")
    broken.trigger("report")
    until(lambda: len(hook.messages) == 3 and len(mails.mails) == 3, "the recovery")
    assert (hook.messages[2]["state"], hook.messages[2]["deployment"]) == ("recovered", "report")

    rows = broken.tell("notify", "log")
    assert sorted((row["channel"], row["state"]) for row in rows) == sorted(
        (channel, state) for channel in ("mail", "ops") for state in ("failed", "recovered", "test")
    )
    assert all(row["sent_at"] and row["attempts"] == 1 and row["error"] is None for row in rows)
    assert {row["id"] for row in rows if row["channel"] == "ops"} == {delivery.id for delivery in hook.deliveries}
    assert broken.tell("notify", "log", "--undelivered") == []
    assert [row["state"] for row in broken.tell("notify", "channels")] == ["ready", "ready"]
    controller.stop()
    assert hook.url not in controller.output


@pytest.mark.usefixtures("config", "mails")
def test_a_server_that_refuses_is_reported_by_the_test_of_its_channel(
    broken: Repository, running: Start, hook: Webhook
) -> None:
    running(broken, OPS_URL=hook.url)
    hook.status = 500
    refused = broken.ask("notify", "test", "ops")
    assert (refused.code, refused.out) == (1, "")
    assert "not delivered to ops: " in refused.err
    assert "500" in refused.err
    assert [row["state"] for row in broken.tell("notify", "channels") if row["name"] == "ops"] == ["failing"]
    unknown = broken.ask("notify", "test", "opps")
    assert (unknown.code, "Did you mean ops?" in unknown.err) == (2, True)


@pytest.mark.usefixtures("config", "mails")
def test_a_message_is_sent_once_if_the_controller_is_killed_before_its_delivery(
    broken: Repository, running: Start, hook: Webhook
) -> None:
    killed = running(broken, OPS_URL=hook.url, CONTROLLER_CRASHPOINT="notify:deliver")
    commit_flow(broken, BROKEN, "Report the orders of the day")
    broken.ask("trigger", "report")
    until(lambda: killed.process.poll() is not None, "the controller to be killed")
    assert hook.messages == []
    running(broken, OPS_URL=hook.url)
    until(lambda: hook.messages, "the message")
    broken.ask("notify", "test", "ops")  # messages are sent in order, so another one would have arrived
    assert [message["state"] for message in hook.messages] == ["failed", "test"]
