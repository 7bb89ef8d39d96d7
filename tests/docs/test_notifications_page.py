"""docs/notifications.md: the first alert is followed to the letter, from an empty directory to the message."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from controller.clock import SystemClock
from controller.manifests.notify_file import read_notify_file
from controller.notify.sender import sign
from controller.notify.sender_process import OutcomeStatus, SenderProcess
from tests.conftest import wait_until
from tests.docs.pages import DOCS, sections
from tests.docs.walkthrough import commands, matches, new_environment
from tests.receivers import free_port

PAGE = DOCS / "notifications.md"
PORT = "8765"
_BLOCK = re.compile(r"Write `(?P<file>[\w./]+)`|^```\w*\n(?P<text>.*?)^```", re.DOTALL | re.MULTILINE)


class Reader:
    """Follows the page. Processes in the background end with the test."""

    def __init__(self, top: Path) -> None:
        self.top = self.directory = top
        self.environment = {**new_environment(top / "home"), "CONTROLLER_LISTEN": "none"}
        self.started: list[subprocess.Popen[bytes]] = []

    def follow(self, command: str, output: str) -> None:
        """Run one command of the page, and compare what it prints."""
        if command.startswith("cd "):
            self.directory /= command.removeprefix("cd ")
        elif command.endswith("&"):
            self._start(command.removesuffix("&"))
        elif command.startswith("controller run"):
            self._start(command)
            wait_until((self.directory / ".git/controller/control.sock").exists)
        else:
            wait_until(lambda: self._prints(command, output), within=60)

    def _prints(self, command: str, output: str) -> bool:
        """Whether the command prints this. Those that show what happens in the background are repeated for a while."""
        done = subprocess.run(
            command,
            shell=True,
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        is_documented = matches(done.stdout, output)
        is_repeatable = command.startswith(("cat ", "controller notify log"))
        assert is_documented or is_repeatable, f"$ {command}\n{done.stdout}"
        return is_documented

    def _start(self, command: str) -> None:
        log = (self.top / "log").open("ab")
        with log:
            self.started.append(
                subprocess.Popen(
                    f"exec {command}", shell=True, cwd=self.directory, env=self.environment, stdout=log, stderr=log
                )
            )


@pytest.mark.acceptance
def test_the_first_alert_arrives_as_documented(tmp_path: Path) -> None:
    [section] = [section for section in sections(PAGE, 2) if section.title == "A first alert"]
    text = section.text.replace(PORT, str(free_port()))
    reader = Reader(tmp_path)
    file = ""
    try:
        for match in _BLOCK.finditer(text):
            if match["file"]:
                file = match["file"]
            elif file:
                (reader.directory / file).write_text(match["text"], encoding="utf-8")
                file = ""
            else:
                for command, output in commands(match["text"]):
                    reader.follow(command, output)
    finally:
        for process in reversed(reader.started):
            process.terminate()
            process.wait(60)


def blocks(language: str) -> list[str]:
    """All blocks of code in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


FILES = [block for block in blocks("yaml") if block.startswith("channels:")]


@pytest.mark.parametrize("text", FILES)
def test_an_example_of_the_file_has_no_finding(text: str) -> None:
    settings, findings = read_notify_file(text.encode(), "notify.yaml")
    assert findings == ()
    assert settings.channels


def test_apprise_knows_the_urls_of_the_table() -> None:
    [section] = [section for section in sections(PAGE, 3) if section.title == "Examples"]
    urls = re.findall(r"^\|[^|]+\| `([^`]+)` \|$", section.text, re.MULTILINE)
    assert len(urls) >= 8
    sender = SenderProcess(SystemClock(), {}, None)
    try:
        outcomes = {url: sender.send({"kind": "check", "url": url}) for url in urls}
    finally:
        sender.close()
    assert {url for url, outcome in outcomes.items() if outcome.status is not OutcomeStatus.SENT} == set()


def test_the_documented_check_of_signatures_accepts_only_genuine_requests() -> None:
    [code] = [block for block in blocks("python") if "is_genuine" in block]
    scope: dict[str, Any] = {}
    exec(code, scope)
    now, body = str(int(SystemClock().now().timestamp())), b'{"id": "1"}'
    headers = {"X-Controller-Timestamp": now, "X-Controller-Signature": sign("key", now, body)}
    assert scope["is_genuine"]("key", headers, body)
    assert not scope["is_genuine"]("other", headers, body)
    assert not scope["is_genuine"]("key", headers, body + b" ")
    old = str(int(now) - 400)
    headers = {"X-Controller-Timestamp": old, "X-Controller-Signature": sign("key", old, body)}
    assert not scope["is_genuine"]("key", headers, body)
