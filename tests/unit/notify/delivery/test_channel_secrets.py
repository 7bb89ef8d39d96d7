"""Secrets of channels: they appear nowhere, and messages wait for those that are missing."""

import logging
import re
import sqlite3
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from controller.errors import UsageError
from controller.model.notifications import ChannelState, MessageState
from controller.notify.redaction import Redactor
from controller.store import messages
from tests.conftest import wait_until
from tests.receivers import SmtpServer, WebhookReceiver, free_port
from tests.unit.notify.delivery.conftest import Desk, titles


def test_a_message_waits_for_a_secret_that_is_missing(desk: Desk, receiver: WebhookReceiver, tmp_path: Path) -> None:
    secret = tmp_path / "url"
    desk.declare(f"channels: {{hook: {{webhook: {{file: {secret}}}}}}}")
    delivery = desk.open()
    message = desk.write("hook")
    status = desk.status("hook")
    assert status.state is ChannelState.MISCONFIGURED
    assert status.message == (
        f"The file {secret} can't be read: No such file or directory."
        " Create the file, and make it readable for the user of the controller."
    )
    desk.pass_time(timedelta(minutes=10))
    desk.clock.turn(timedelta(days=3))
    desk.pass_time(timedelta(minutes=10))
    assert desk.message(message).delivery is MessageState.WAITING
    assert desk.message(message).attempts == 0
    assert desk.message(message).error == status.message
    secret.write_text(f"{receiver.url}\n", encoding="utf-8")
    desk.pass_time(timedelta(minutes=1))
    assert titles(receiver) == ["load-orders failed"]
    assert desk.status("hook").state is ChannelState.READY
    assert delivery.next_time() is None


def test_a_variable_that_is_missing_says_what_to_do(desk: Desk) -> None:
    desk.declare("channels: {ops: {url: {env: SLACK_URL}}}")
    desk.open()
    assert desk.status("ops").message == (
        "The environment variable SLACK_URL is not set. Set SLACK_URL in the controller's environment, and restart it."
    )


def test_a_url_that_apprise_does_not_know_is_reported_before_there_is_a_message(desk: Desk) -> None:
    desk.variables["TOKEN"] = "xoxb-topsecret"
    desk.declare(
        """
channels:
  typo: {url: "slak://xoxb-topsecret/abc"}
  https: {url: "https://example.com/hooks/topsecret"}
  incomplete: {url: "slack://topsecret"}
  token: {url: {env: TOKEN}}
"""
    )
    desk.open()
    desk.deliver()
    statuses = [desk.status(name) for name in ("typo", "https", "incomplete", "token")]
    assert {status.state for status in statuses} == {ChannelState.MISCONFIGURED}
    assert [status.kind for status in statuses] == ["slak", "https", "slack", "apprise"]
    assert [status.message for status in statuses] == [
        "Apprise has no service with the scheme slak, or the URL is incomplete.",
        "Apprise has no service for this https URL; use the key `webhook` for a server of your own.",
        "Apprise can't use the URL for slack: its Slack (second) Token is missing or invalid.",
        "The value is not a URL: it must begin with a scheme of apprise, such as mailto:// or slack://.",
    ]


def everything_in(database: Path) -> str:
    """All values in all tables."""
    with sqlite3.connect(database) as connection:
        return "\n".join(connection.iterdump())


def test_no_secret_is_recorded_or_logged(
    desk: Desk, receiver: WebhookReceiver, smtp: SmtpServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = ["wrong-pa55", "us3rname", "t0ken-of-hook", "query-s3cret", "slack-t0ken", "the-hmac-k3y", "tgb0t"]
    receiver.status = 403
    desk.variables["KEY"] = "the-hmac-k3y"
    desk.declare(
        f"""
channels:
  mail: {{url: "mailto://us3rname:wrong-pa55@localhost:{smtp.port}?from=c@example.com&to=ops@example.com&mode=insecure"}}
  down: {{url: "mailto://us3rname:wrong-pa55@localhost:{free_port()}?from=c@example.com&to=ops@example.com"}}
  hook: {{webhook: "{receiver.url}/t0ken-of-hook?key=query-s3cret", hmac: {{env: KEY}}}}
  json: {{url: "jsons://us3rname:wrong-pa55@localhost:{free_port()}/t0ken-of-hook?+X=query-s3cret"}}
  bad: {{url: "slack://slack-t0ken/x"}}
  bot: {{url: "tgram://tgb0t/slack-t0ken"}}
"""
    )
    desk.open()
    names = ("mail", "down", "hook", "json", "bad", "bot")
    written = [desk.write(name) for name in names]
    desk.deliver()
    for secret in secrets:
        assert secret not in everything_in(tmp_path / "state.db")
        assert secret not in caplog.text
    errors = {name: desk.message(message).error for name, message in zip(names, written, strict=True)}
    assert errors["mail"] is not None
    assert "authentication" in errors["mail"].lower()
    assert errors["down"] is not None
    assert errors["down"] == "The server refused the connection; check the host and the port."
    assert errors["json"] is not None
    assert errors["json"] == errors["down"]
    assert errors["hook"] == "The receiver responded 403 Forbidden."


def test_the_url_is_neither_in_the_arguments_nor_in_the_environment_of_the_process(
    desk: Desk, receiver: WebhookReceiver
) -> None:
    receiver.release = threading.Event()
    desk.declare(f"channels: {{hook: {{webhook: '{receiver.url}/t0ken'}}}}")
    delivery = desk.open()
    desk.variables["OTHER_SECRET"] = "0ther"
    desk.write("hook")
    delivery.deliver_due(desk.clock.now())
    wait_until(lambda: receiver.attempts)
    [sender] = delivery._senders
    assert sender._process is not None
    for file in ("cmdline", "environ"):
        content = Path(f"/proc/{sender._process.pid}/{file}").read_bytes()
        assert b"t0ken" not in content
        assert b"0ther" not in content


@pytest.mark.parametrize(
    ("url", "text", "redacted"),
    [
        (
            "mailto://me:pw@mail.example.com",
            "login me:pw at mail.example.com failed",
            "login ****:**** at mail.example.com failed",
        ),
        ("slack://AAAA/BBBB/CCCC/#ops", "aaaa and bbbb, CCCC", "**** and ****, ****"),
        ("https://x.example/a/hook?token=abcd", "POST https://x.example/a/hook?token=abcd", "POST ****"),
        ("https://x.example/a%2Fb-secret", "path a/b-secret", "path ****"),
        ("tgram://123456:token/chat", "host 123456", "host ****"),
        ("https://x.example/h", "line 1\nline 2", "line 1 line 2"),
    ],
)
def test_redaction(url: str, text: str, redacted: str) -> None:
    assert Redactor(url).redact(text) == redacted


def test_a_key_is_redacted() -> None:
    assert Redactor("https://x.example", "a key").redact("signed with a key") == "signed with ****"


def test_an_invalid_file_at_the_start_is_an_error(desk: Desk) -> None:
    desk.declare("channels: {ops: {ur: x}}")
    with pytest.raises(UsageError, match=r"notify\.yaml:1:18: unknown key `ur`\."):
        desk.open()


def test_all_errors_of_the_file_are_reported_at_the_start(desk: Desk) -> None:
    desk.declare("channels:\n" + "".join(f"  c{number}: {{ur: x}}\n" for number in range(25)))
    with pytest.raises(UsageError) as refused:
        desk.open()
    lines = refused.value.message.splitlines()
    assert re.search(r"notify\.yaml:2:\d+: ", lines[0])
    assert re.search(r"^And \d+ more\.$", lines[-1])


def test_an_invalid_new_version_keeps_the_old_one(desk: Desk, receiver: WebhookReceiver) -> None:
    desk.declare(f"channels: {{hook: {{webhook: '{receiver.url}'}}}}")
    desk.open()
    desk.declare("channels: {hook: [}")
    assert not desk.registry.refresh()
    assert not desk.registry.refresh()
    problem = desk.problem()
    assert problem is not None
    assert re.search(r"notify\.yaml:1:19: not valid YAML", problem.message)
    desk.write("hook")
    desk.deliver()
    assert len(receiver.accepted) == 1
    desk.declare("channels: {mail: {url: 'mailto://x'}}")
    assert desk.registry.refresh()
    assert desk.problem() is None
    with desk.store.read() as tx:
        assert [status.name for status in messages.find_channels(tx)] == ["mail"]


@pytest.mark.parametrize("content", ["", "# nothing\n", "channels: {}"])
def test_a_file_without_channels_keeps_the_channels(desk: Desk, content: str) -> None:
    desk.declare("channels: {mail: {url: 'mailto://x'}}")
    desk.open()
    desk.declare(content)
    assert not desk.registry.refresh()
    problem = desk.problem()
    assert problem is not None
    assert problem.message.endswith("notify.yaml declares no channels")
    assert list(desk.registry.settings.channels) == ["mail"]


def test_a_file_that_is_deleted_keeps_the_channels(desk: Desk, tmp_path: Path) -> None:
    desk.declare("channels: {mail: {url: 'mailto://x'}}")
    desk.open()
    moved = (tmp_path / "notify.yaml").rename(tmp_path / "moved.yaml")
    assert not desk.registry.refresh()
    problem = desk.problem()
    assert problem is not None
    assert problem.message.endswith("notify.yaml can't be read: No such file or directory")
    assert list(desk.registry.settings.channels) == ["mail"]
    moved.rename(tmp_path / "notify.yaml")
    assert desk.registry.refresh()
    assert desk.problem() is None


def test_an_outcome_can_be_recorded_while_a_new_version_is_read(desk: Desk) -> None:
    desk.declare("channels: {mail: {url: 'mailto://x'}}")
    desk.open()
    desk.declare("channels: {mail: {url: 'mailto://x'}, other: {url: 'mailto://y'}}")
    reading = threading.Thread(target=desk.registry.refresh)
    with desk.store.write() as tx:
        reading.start()
        wait_until(desk.registry._reading.locked)
        desk.registry.record(tx, "mail", ChannelState.FAILING, "Timed out.")
    reading.join()
    assert desk.status("mail").state is ChannelState.FAILING
    assert list(desk.registry.settings.channels) == ["mail", "other"]


def test_a_file_that_appears_is_read(desk: Desk) -> None:
    desk.open()
    assert not desk.registry.refresh()
    assert desk.problem() is None
    desk.declare("channels: {mail: {url: 'mailto://x'}}")
    assert desk.registry.refresh()
    assert list(desk.registry.settings.channels) == ["mail"]
