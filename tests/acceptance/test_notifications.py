"""A commit breaks a flow: a chat and a mailbox are notified, and again when the next commit repairs it.

The receivers are a real web server and a real SMTP server.
"""

import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.crashpoints import NOTIFY
from tests.acceptance.conftest import Start
from tests.acceptance.harness import Machine, Repository, until
from tests.receivers import Request, SmtpServer, WebhookReceiver, smtp_server, webhook_receiver

pytestmark = pytest.mark.acceptance

KEY = "the-key-of-the-webhook"
SECRET = "s3cr3t-part-of-the-urls"
BROKEN = "def report():\n    raise ValueError('the table orders is empty')\n"
REPAIRED = "def report():\n    return 1\n"
DEPLOYMENT = """
    name: report
    flow: flows/report.py:report
    notify: {to: [ops, mail], on: [failed, recovered]}
    heartbeat: {env: REPORT_HEARTBEAT}
    """


@pytest.fixture
def hook(tmp_path: Path) -> Iterator[WebhookReceiver]:
    with webhook_receiver(tmp_path) as receiver:
        yield receiver


@pytest.fixture
def mails() -> Iterator[SmtpServer]:
    with smtp_server() as server:
        yield server


@pytest.fixture
def config(machine: Machine, mails: SmtpServer) -> None:
    """The file with the channels, in its default place."""
    file = machine.home / ".config/controller/notify.yaml"
    file.parent.mkdir(parents=True)
    (machine.home / "key").write_text(KEY)
    file.write_text(
        "group_wait: 1s\n"
        "channels:\n"
        f"  ops: {{webhook: {{env: OPS_URL}}, hmac: {{file: {machine.home / 'key'}}}}}\n"
        f"  mail: {{url: '{mails.url()}'}}\n"
    )


def options(hook: WebhookReceiver) -> tuple[str, ...]:
    """The options of the controller."""
    return ("--public-url", "https://flows.example.org/", "--notify-ca", str(hook.ca))


def variables(hook: WebhookReceiver) -> dict[str, str]:
    """The secrets of the controller: the URLs of the channel, of the deployment's heartbeat and of its own."""
    return {
        "OPS_URL": f"{hook.url}/{SECRET}/alerts",
        "REPORT_HEARTBEAT": f"{hook.url}/{SECRET}/report",
        "CONTROLLER_HEARTBEAT_URL": f"{hook.url}/{SECRET}/controller",
    }


def requests(hook: WebhookReceiver) -> list[Request]:
    """The accepted messages, without heartbeats."""
    return [request for request in hook.accepted if request.path.endswith("/alerts")]


def messages(hook: WebhookReceiver) -> list[Any]:
    """The JSON of the accepted messages."""
    return [json.loads(request.body) for request in requests(hook)]


def heartbeats(hook: WebhookReceiver, subject: str) -> list[str]:
    """The paths of the heartbeats of a deployment or the controller, in their order."""
    paths = [request.path.removeprefix(f"/{SECRET}/") for request in hook.accepted]
    return [path for path in paths if path.startswith(subject)]


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
    broken: Repository, running: Start, hook: WebhookReceiver, mails: SmtpServer
) -> None:
    controller = running(broken, *options(hook), **variables(hook))
    assert broken.ask("notify", "test", "ops").out == "delivered to ops\n"
    assert broken.ask("notify", "test", "mail").code == 0
    assert messages(hook)[0]["state"] == "test"
    assert broken.trigger("report")["code"] == 0
    commit_flow(broken, BROKEN, "Report the orders of the day")
    run = broken.trigger("report")
    until(lambda: len(messages(hook)) == 2 and len(mails.messages) == 2, "the failure")

    delivery, message = requests(hook)[1], messages(hook)[1]
    assert (message["state"], message["deployment"], message["run_id"]) == ("failed", "report", run["run_id"])
    assert "report" in message["title"]
    assert "the table orders is empty" in message["body"]
    assert "Report the orders of the day" in message["body"]
    assert "tester" in message["body"]
    assert f"https://flows.example.org/runs/{run['run_id']}" in message["body"] + str(message["url"])
    signed = delivery.headers["X-Controller-Timestamp"].encode() + b"." + delivery.body
    expected = hmac.new(KEY.encode(), signed, hashlib.sha256).hexdigest()
    assert delivery.headers["X-Controller-Signature"] == f"sha256={expected}"
    assert "report" in str(mails.messages[1]["subject"])

    commit_flow(broken, REPAIRED, "Report an empty table as zero")
    broken.trigger("report")
    until(lambda: len(messages(hook)) == 3 and len(mails.messages) == 3, "the recovery")
    assert (messages(hook)[2]["state"], messages(hook)[2]["deployment"]) == ("recovered", "report")

    rows = broken.tell("notify", "log")
    assert sorted((row["channel"], row["state"]) for row in rows) == sorted(
        (channel, state) for channel in ("mail", "ops") for state in ("failed", "recovered", "test")
    )
    assert all(row["sent_at"] and row["attempts"] == 1 and row["error"] is None for row in rows)
    ids = {row["id"] for row in rows if row["channel"] == "ops"}
    assert ids == {request.headers["X-Controller-Delivery"] for request in requests(hook)}
    assert broken.tell("notify", "log", "--undelivered") == []
    assert [row["state"] for row in broken.tell("notify", "channels")] == ["ready", "ready"]
    # The run before the first evaluation of the deployment may have none.
    signals = ["report/start", "report/fail", "report/start", "report"]
    until(lambda: heartbeats(hook, "report")[-4:] == signals, "the heartbeats of the deployment")
    assert heartbeats(hook, "controller")[0] == "controller"
    controller.stop()
    shown = (
        controller.output + str(rows) + broken.ask("events").out + broken.ask("notify", "channels", "-o", "json").out
    )
    assert SECRET not in shown
    assert mails.password not in shown


@pytest.mark.usefixtures("config", "mails")
def test_a_server_that_refuses_is_reported_by_the_test_of_its_channel(
    broken: Repository, running: Start, hook: WebhookReceiver
) -> None:
    running(broken, *options(hook), **variables(hook))
    hook.status = 500
    refused = broken.ask("notify", "test", "ops")
    assert (refused.code, refused.out) == (1, "")
    assert "not delivered to ops: " in refused.err
    assert "500" in refused.err
    assert [row["state"] for row in broken.tell("notify", "channels") if row["name"] == "ops"] == ["failing"]
    unknown = broken.ask("notify", "test", "opps")
    assert (unknown.code, "did you mean ops?" in unknown.err.lower()) == (2, True)


@pytest.mark.usefixtures("config", "mails")
@pytest.mark.parametrize("point", NOTIFY)
def test_a_controller_that_is_killed_while_it_notifies_loses_no_message(
    broken: Repository, running: Start, hook: WebhookReceiver, point: str
) -> None:
    killed = running(broken, *options(hook), **variables(hook), CONTROLLER_CRASHPOINT=f"notify:{point}")
    commit_flow(broken, BROKEN, "Report the orders of the day")
    broken.ask("trigger", "report")
    until(lambda: killed.process.poll() is not None, "the controller to be killed")
    before = len(messages(hook))
    assert before == NOTIFY.index(point)
    running(broken, *options(hook), **variables(hook))
    until(lambda: len(messages(hook)) > before, "the message")
    broken.ask("notify", "test", "ops")
    until(lambda: messages(hook)[-1]["state"] == "test", "the test")
    assert [message["state"] for message in messages(hook)] == [*["failed"] * (before + 1), "test"]
    # A message that was being sent is sent again, with the same ID.
    assert len({message["id"] for message in messages(hook)}) == 2
    assert [row["state"] for row in broken.tell("notify", "log", "--deployment", "report")].count("failed") == 2
