"""The live view on a terminal: it stops and comes back as shells expect, and terminals without a screen get lines."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from select import select
from time import monotonic

import pytest

from tests.command_server import CONTROLLER, CommandServer, Process
from tests.conftest import GitRepository, wait_until
from tests.unit.cli.conftest import FILES

ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"
SHOW = b"\x1b[?25h"


class Terminal:
    """A command on a pseudo-terminal of its own."""

    def __init__(self, process: "Process | subprocess.Popen[bytes]", screen: int) -> None:
        self.process = process
        self._screen = screen
        self.modes = termios.tcgetattr(screen)
        self.seen = b""

    def close(self) -> None:
        """Close the window of the terminal."""
        os.close(self._screen)
        self._screen = -1

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._screen, keys)

    def is_restored(self) -> bool:
        """Whether the terminal has the modes that it had before the command."""
        return termios.tcgetattr(self._screen) == self.modes

    def wait_until_stopped(self) -> None:
        """Return once the process is stopped, as by Ctrl-Z."""
        stat = Path(f"/proc/{self.process.pid}/stat")
        wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")

    def find_view(self) -> int:
        """Return the process id of the live view that `controller run` has started."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        [view] = [int(child) for child in children if b"live_view" in Path(f"/proc/{child}/cmdline").read_bytes()]
        return view

    def read_until(self, is_there: Callable[[bytes], bool]) -> bytes:
        """Return the output from here on, until the condition holds."""
        found, end = b"", monotonic() + 120
        while not is_there(found):
            assert monotonic() < end, (self.seen, found)
            if select([self._screen], [], [], 0.1)[0]:
                found += os.read(self._screen, 1 << 16)
        self.seen += found
        return found


@contextmanager
def open_process(pid: int) -> Iterator[int]:
    """Open a file descriptor that becomes readable when the process ends."""
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def on_terminal(commands: CommandServer | None, cwd: Path, *arguments: str, term: str | None) -> Iterator[Terminal]:
    """Run a command on a terminal; without `commands`, the installed script."""
    screen, end = pty.openpty()
    env = {"PATH": os.defpath, "HOME": str(cwd), **({} if term is None else {"TERM": term})}
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    # In a session of its own, the group would be orphaned, and the kernel would ignore SIGTSTP.
    process: Process | subprocess.Popen[bytes]
    if commands is not None:
        process = commands.start(arguments, cwd=cwd, env=env, stdin=end, stdout=end, stderr=end, has_own_group=True)
    else:
        # A controller respects an ignored SIGHUP, which it would inherit from tests that nohup runs.
        command = ["env", "--default-signal=HUP", str(CONTROLLER), *arguments]
        process = subprocess.Popen(command, cwd=cwd, env=env, stdin=end, stdout=end, stderr=end, process_group=0)
    os.close(end)
    try:
        yield Terminal(process, screen)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        with suppress(OSError):
            os.close(screen)


@pytest.mark.parametrize("arguments", [("status", "--watch"), ("top",), ("status", "--watch", "--plain")])
def test_the_live_view_restores_the_terminal_while_it_is_stopped(
    commands: CommandServer, repository: GitRepository, arguments: tuple[str, ...]
) -> None:
    repository.commit(FILES)
    commands.run("run", "--once", cwd=repository.path, env={"PATH": os.defpath})
    with on_terminal(commands, repository.path, *arguments, term="xterm") as terminal:
        terminal.read_until(lambda text: ENTER in text and b"controller" in text)
        for _ in range(2):
            os.kill(terminal.process.pid, signal.SIGTSTP)
            terminal.wait_until_stopped()
            left = terminal.read_until(lambda text: LEAVE in text)
            assert SHOW in left
            os.kill(terminal.process.pid, signal.SIGCONT)
            terminal.read_until(lambda text: ENTER in text and b"controller" in text)
        os.kill(terminal.process.pid, signal.SIGINT)
        terminal.read_until(lambda text: LEAVE in text)
        assert terminal.process.wait(60) == 0


def test_controller_run_shows_the_live_view_and_says_goodbye(repository: GitRepository) -> None:
    repository.commit(FILES)
    with on_terminal(None, repository.path, "run", "--listen", "none", term="xterm") as terminal:
        terminal.read_until(lambda text: ENTER in text and b"main@" in text)
        assert not terminal.is_restored()
        terminal.type(b"q")
        terminal.read_until(lambda text: b"Stop the controller?" in text)
        terminal.type(b"n3")
        terminal.read_until(lambda text: b"FLOW" in text)
        terminal.type(b"qy")
        end = terminal.read_until(lambda text: b"taken over" in text or b"No flows are running." in text)
        assert LEAVE in end
        assert terminal.process.wait(60) == 0
        assert terminal.is_restored()


def test_the_view_and_the_controller_exit_when_the_terminal_is_closed(
    commands: CommandServer, repository: GitRepository
) -> None:
    repository.commit(FILES)
    with on_terminal(commands, repository.path, "run", "--listen", "none", term="xterm") as terminal:
        terminal.read_until(lambda text: ENTER in text and b"Deployments" in text)
        view = terminal.find_view()
        with open_process(view) as ended:
            terminal.close()
            assert select([ended], [], [], 120)[0]
        os.kill(terminal.process.pid, signal.SIGHUP)
        assert terminal.process.wait(60) == 0


def test_ctrl_z_stops_the_controller_and_a_killed_view_is_replaced_by_log_lines(
    commands: CommandServer, repository: GitRepository
) -> None:
    repository.commit(FILES)
    with on_terminal(commands, repository.path, "run", "--listen", "none", term="xterm") as terminal:
        terminal.read_until(lambda text: ENTER in text and b"Deployments" in text)
        terminal.type(b"\x1a")
        terminal.read_until(lambda text: LEAVE in text)
        terminal.wait_until_stopped()
        assert terminal.is_restored()
        os.killpg(terminal.process.pid, signal.SIGCONT)
        terminal.read_until(lambda text: ENTER in text and b"Deployments" in text)
        os.kill(terminal.find_view(), signal.SIGKILL)
        end = terminal.read_until(lambda text: b"--watch`." in text)
        assert b"killed by signal 9. The controller continues" in end
        assert LEAVE in end
        assert terminal.is_restored()
        repository.commit({"deployments/more.yaml": "name: more\ncommand: ['true']\n"})
        terminal.read_until(lambda text: b"Applied" in text)
        os.killpg(terminal.process.pid, signal.SIGINT)
        end = terminal.read_until(lambda text: b"Controller stopped. No flows are running." in text)
        assert LEAVE not in end
        assert terminal.process.wait(60) == 0


def test_the_view_restores_the_terminal_when_the_controller_is_killed(
    commands: CommandServer, repository: GitRepository
) -> None:
    repository.commit(FILES)
    with on_terminal(commands, repository.path, "run", "--listen", "none", term="xterm") as terminal:
        terminal.read_until(lambda text: ENTER in text and b"Deployments" in text)
        os.kill(terminal.process.pid, signal.SIGKILL)
        terminal.process.wait()
        end = terminal.read_until(lambda text: LEAVE in text and SHOW in text)
        assert b"Traceback" not in end
        assert terminal.is_restored()


@pytest.mark.parametrize("term", ["dumb", None])
def test_a_dumb_terminal_gets_plain_lines(commands: CommandServer, repository: GitRepository, term: str | None) -> None:
    repository.commit(FILES)
    with on_terminal(commands, repository.path, "status", "--watch", term=term) as terminal:
        terminal.read_until(lambda text: b"controller" in text)
        assert ENTER not in terminal.seen
    with on_terminal(commands, repository.path, "run", "--listen", "none", term=term) as terminal:
        terminal.read_until(lambda text: b"Applied" in text)
        assert ENTER not in terminal.seen
