"""The live view on a terminal: it stops and comes back as shells expect, and terminals without a screen get lines."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from select import select
from time import monotonic

import pytest

from tests.conftest import GitRepository
from tests.unit.cli.conftest import FILES

ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"
SHOW = b"\x1b[?25h"


class Terminal:
    """A command on a pseudo-terminal of its own."""

    def __init__(self, process: "subprocess.Popen[bytes]", screen: int) -> None:
        self.process = process
        self._screen = screen
        self.seen = b""

    def read_until(self, is_there: Callable[[bytes], bool]) -> bytes:
        """Return the output from here on, until the condition holds."""
        found, end = b"", monotonic() + 30
        while not is_there(found):
            assert monotonic() < end, (self.seen, found)
            if select([self._screen], [], [], 0.1)[0]:
                found += os.read(self._screen, 1 << 16)
        self.seen += found
        return found


@contextmanager
def on_terminal(cwd: Path, *arguments: str, term: str | None) -> Iterator[Terminal]:
    screen, end = pty.openpty()
    env = {"PATH": os.defpath, "HOME": str(cwd), **({} if term is None else {"TERM": term})}
    program = str(Path(sys.executable).parent / "controller")
    process = subprocess.Popen(
        [program, *arguments], cwd=cwd, env=env, stdin=end, stdout=end, stderr=end, process_group=0
    )
    os.close(end)
    try:
        yield Terminal(process, screen)
    finally:
        process.kill()
        process.wait()
        os.close(screen)


@pytest.mark.parametrize("arguments", [("status", "--watch")])
def test_the_live_view_restores_the_terminal_while_it_is_stopped(
    repository: GitRepository, arguments: tuple[str, ...]
) -> None:
    repository.commit(FILES)
    with on_terminal(repository.path, *arguments, term="xterm") as terminal:
        terminal.read_until(lambda text: ENTER in text and b"controller" in text)
        for _ in range(2):
            os.kill(terminal.process.pid, signal.SIGTSTP)
            _, status = os.waitpid(terminal.process.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)
            left = terminal.read_until(lambda text: LEAVE in text)
            assert SHOW in left
            os.kill(terminal.process.pid, signal.SIGCONT)
            terminal.read_until(lambda text: ENTER in text and b"controller" in text)
        os.kill(terminal.process.pid, signal.SIGINT)
        terminal.read_until(lambda text: LEAVE in text)
        assert terminal.process.wait(30) == 0


@pytest.mark.parametrize("term", ["dumb", None])
def test_a_dumb_terminal_gets_plain_lines(repository: GitRepository, term: str | None) -> None:
    repository.commit(FILES)
    with on_terminal(repository.path, "status", "--watch", term=term) as terminal:
        terminal.read_until(lambda text: b"controller" in text)
        assert ENTER not in terminal.seen
    with on_terminal(repository.path, "run", "--listen", "none", term=term) as terminal:
        terminal.read_until(lambda text: b"Applied" in text)
        assert ENTER not in terminal.seen
