"""docs/notifications.md: the first alert is followed to the letter, from an empty directory to the message."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.docs.pages import DOCS, sections
from tests.docs.walkthrough import commands, matches, new_environment
from tests.receivers import free_port

pytestmark = pytest.mark.acceptance

PAGE = DOCS / "notifications.md"
PORT = "8765"
_BLOCK = re.compile(r"Write `(?P<file>[\w./]+)`|^```\w*\n(?P<text>.*?)^```", re.DOTALL | re.MULTILINE)


class Reader:
    """Somebody who follows the page. What they start with `&` or in a first terminal ends with the test."""

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
            process.wait(30)
