"""A real git repository, the `controller` command, and one way to wait. Used by the tests of this folder.

Every process gets an environment of its own: no configuration of the machine or of its user reaches git or controller.
"""

import itertools
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any, TypeVar

from tests import command_server
from tests.command_server import CommandServer, Process

CONTROLLER = command_server.CONTROLLER
DEADLINE_SECONDS = 60.0

T = TypeVar("T")


def until(ask: Callable[[], T], what: str, seconds: float = DEADLINE_SECONDS) -> T:
    """The first true answer of `ask`; fails after `seconds`. The only place where a test waits.

    An `ask` that runs a command is called less often, so that it leaves the processor to others.
    """
    pause = threading.Event()
    deadline = time.monotonic() + seconds
    while True:
        begin = time.monotonic()
        answer = ask()
        if answer:
            return answer
        end = time.monotonic()
        assert end < deadline, f"waited {seconds:.0f} s for: {what}; at last: {answer!r}"
        pause.wait(min(max(0.05, 4 * (end - begin)), 0.5))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The output of a command, and its exit code."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


class Machine:
    """A home directory and an environment without anything else; runs commands in it.

    `commands` runs `controller`; without it, every command starts the installed script.
    """

    def __init__(self, home: Path, commands: CommandServer | None = None) -> None:
        self.home = home
        self._commands = commands
        home.mkdir()
        self.environment = {
            "HOME": str(home),
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "GIT_CONFIG_NOSYSTEM": "1",
            # Stories that need it ask for a port of their own.
            "CONTROLLER_LISTEN": "none",
        }

    def run(self, *command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Answer:
        """Run a program to its end."""
        done = subprocess.run(
            command,
            cwd=cwd or self.home,
            env={**self.environment, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Answer(code=done.returncode, out=done.stdout, err=done.stderr)

    def controller(
        self, *arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> Answer:
        """Run `controller`. Its error output never contains a traceback."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            process = self.start(*arguments, cwd=cwd, env=env, stdout=out.fileno(), stderr=err.fileno())
            try:
                code = process.wait(DEADLINE_SECONDS)
            finally:
                process.kill()
            texts = []
            for stream in (out, err):
                stream.seek(0)
                texts.append(stream.read().decode())
        answer = Answer(code=code, out=texts[0], err=texts[1])
        assert "Traceback" not in answer.err
        assert "internal error" not in answer.err
        return answer

    def start(
        self,
        *arguments: str | Path,
        stdout: int,
        stderr: int,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Process | subprocess.Popen[bytes]:
        """Start `controller`, without standard input."""
        words = [os.fspath(argument) for argument in arguments]
        environment = {**self.environment, **(env or {})}
        if self._commands is not None:
            return self._commands.start(words, cwd=cwd or self.home, env=environment, stdout=stdout, stderr=stderr)
        return subprocess.Popen(
            [CONTROLLER, *words],
            cwd=cwd or self.home,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )


class Folder:
    """A directory that a controller follows, and the commands about it."""

    def __init__(self, root: Path, machine: Machine) -> None:
        self.root = root
        self.machine = machine
        root.mkdir(exist_ok=True)

    @property
    def address(self) -> str:
        """The argument of `--repo`."""
        return str(self.root)

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.root / ".controller"

    def write(self, path: str, text: str) -> Path:
        """Write a file, without the indentation of the test that says it."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
        return target

    def remove(self, path: str) -> None:
        """Remove a file or a directory."""
        target = self.root / path
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink()

    def move(self, old: str, new: str) -> None:
        """Move a file."""
        (self.root / new).parent.mkdir(parents=True, exist_ok=True)
        (self.root / old).rename(self.root / new)

    def ask(self, *arguments: str, **env: str) -> Answer:
        """Run a command about this folder."""
        return self.machine.controller(*arguments, "--repo", self.address, env=env)

    def tell(self, *arguments: str) -> Any:
        """The JSON of a command that must go well."""
        answer = self.ask(*arguments, "-o", "json")
        assert answer.code == 0, answer
        return answer.json()

    def status(self) -> Any:
        """`controller status -o json`."""
        return self.tell("status")

    def deployment(self, name: str) -> Any:
        """One row of the status; None if there is none."""
        return next((row for row in self.status()["deployments"] if row["name"] == name), None)

    def runs(self, name: str, state: str | None = None) -> list[Any]:
        """The runs of a deployment, oldest first."""
        only = [] if state is None else ["--state", state]
        return list(reversed(self.tell("runs", "list", "--deployment", name, "--limit", "1000", *only)))

    def wait_for_run(self, name: str, state: str = "succeeded", more: int | None = None) -> Any:
        """Return the newest run in this state once there is one, or once there are `more` runs than now."""
        wanted = 1 if more is None else self.count_runs(name, state) + more
        until(lambda: self.count_runs(name, state) >= wanted, f"{wanted} runs of {name} that are {state}")
        return self.runs(name, state)[-1]

    def count_runs(self, name: str, *states: str) -> int:
        """How many runs are in one of these states; by a look at the database, since it is asked often."""
        marks = ",".join("?" * len(states))
        query = f"SELECT count(*) FROM runs WHERE deployment = ? AND state IN ({marks})"
        return int(self.select(query, name, *states)[0][0])

    def wait_for_end(self, run_id: str) -> Any:
        """The run, once it is final."""
        query = "SELECT 1 FROM runs WHERE id = ? AND state NOT IN ('pending', 'launching', 'running', 'retrying')"
        until(lambda: self.select(query, run_id), f"run {run_id} to end")
        return self.tell("runs", "show", run_id)

    def trigger(self, name: str, *arguments: str) -> Any:
        """Run it now and wait; the JSON, whatever became of it."""
        answer = self.ask("trigger", name, "--wait", *arguments, "-o", "json")
        assert answer.code in (0, 1), answer
        return {**answer.json(), "code": answer.code}

    def wait_for_output(self, run_id: str) -> list[str]:
        """Return the lines that a run has printed, once there are any."""
        until(lambda: any(log.stat().st_size for log in self.state.glob(f"runs/{run_id}/*/log")), "output of a run")
        return self.ask("runs", "logs", run_id).out.splitlines()

    def wait_for_revision(self, revision: str | None) -> None:
        """Return once this revision is applied; None: any revision. Reads the database, because it polls."""

        def applied() -> bool:
            found = self.select("SELECT last_applied_revision FROM source")
            return bool(found) and found[0][0] is not None and revision in (None, found[0][0])

        until(applied, f"{revision or 'a revision'} to be in force")

    def status_at(self, revision: str | None) -> Any:
        """Return the status once this revision is applied."""
        self.wait_for_revision(revision)
        status = self.status()
        assert revision in (None, status["source"]["last_applied_revision"])
        return status

    def wait_for_status(self, is_so: Callable[[], object], what: str) -> None:
        """Return once commands say so. They are asked again only when the state has changed: each costs a process."""
        seen: list[Any] = []

        def changed_and_so() -> bool:
            stamp = self.select("SELECT revision, conditions, (SELECT max(id) FROM events) FROM source")
            if stamp in seen:
                return False
            answer = bool(is_so())
            seen.append(stamp)
            return answer

        until(changed_and_so, what)

    def ledger(self, name: str) -> list[tuple[str, str, str | None, str | None]]:
        """(scheduled for, outcome, run, reason) of every due time, in order."""
        return self.select(
            "SELECT scheduled_for, outcome, run_id, reason FROM occurrences WHERE deployment = ? ORDER BY 1", name
        )

    def select(self, query: str, *values: str) -> list[Any]:
        """Look into the state."""
        connection = sqlite3.connect(f"file:{self.state / 'state.db'}?mode=ro", uri=True, timeout=60)
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()


class Repository(Folder):
    """A git repository on the branch main."""

    def __init__(self, root: Path, machine: Machine) -> None:
        super().__init__(root, machine)
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.name", "tester")
        self.git("config", "user.email", "tester@localhost")

    @property
    def state(self) -> Path:
        """In the git directory, where git leaves it alone."""
        return self.root / ".git" / "controller"

    def git(self, *arguments: str) -> str:
        """Run git here."""
        answer = self.machine.run("git", *arguments, cwd=self.root)
        assert answer.code == 0, answer.err
        return answer.out.strip()

    def commit(self, message: str = "change") -> str:
        """Commit everything; returns the revision as controller spells it."""
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return f"main@sha1:{self.git('rev-parse', 'HEAD')}"


class Remote(Repository):
    """The same behind a URL: the controller sees only that."""

    def __init__(self, root: Path, machine: Machine, url: str) -> None:
        super().__init__(root, machine)
        self._url = url

    @property
    def address(self) -> str:
        """The URL."""
        return self._url

    @property
    def state(self) -> Path:
        """In the user's state directory; there is only this one."""
        found = list((self.machine.home / ".local" / "state" / "controller").iterdir())
        assert len(found) == 1
        return found[0]


class Running:
    """A `controller run` process. Its output goes to a file."""

    def __init__(self, folder: Folder, log: Path, arguments: tuple[str, ...], env: Mapping[str, str]) -> None:
        self.log = log
        with log.open("wb") as stream:
            self.process = folder.machine.start(
                "run", "--repo", folder.address, *arguments, env=env, stdout=stream.fileno(), stderr=stream.fileno()
            )

    @property
    def output(self) -> str:
        """All that it has said."""
        return self.log.read_text(encoding="utf-8")

    @property
    def is_started(self) -> bool:
        """Whether it accepts commands. Before that it logs its start, with its state directory."""
        assert self.process.poll() is None, self.output
        state = re.search(r'Controller started.* "?state(?:=|": ")([^\s"]+)', self.output)
        return state is not None and accepts_connections(Path(state[1]))

    def kill(self) -> None:
        """SIGKILL, and gone."""
        self.process.kill()
        self.process.wait(60)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Ask it to end. It exits with an error if it takes longer than its own time limit of 9 seconds."""
        self.process.send_signal(number)
        until(lambda: self.process.poll() is not None, "the controller to end")
        assert self.process.returncode == 0, self.output


def accepts_connections(state: Path) -> bool:
    """Whether a controller listens at the socket of this state directory."""
    directory = os.open(state, os.O_PATH)
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            # The address of a socket has at most 107 bytes; this one is short whatever the directory is called.
            return connection.connect_ex(f"/proc/self/fd/{directory}/control.sock") == 0
    finally:
        os.close(directory)


def processes(marks: tuple[str, ...]) -> list[int]:
    """The processes with one of these texts in their command line or their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                said = (entry / "cmdline").read_bytes() + b"\0" + (entry / "environ").read_bytes()
                if any(mark.encode() in said for mark in marks):
                    found.append(int(entry.name))
    return found


def is_alive(pid: int) -> bool:
    """Whether this process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def assert_every_second(ledger: list[str]) -> None:
    """These instants of the state, in order, are whole seconds without a gap and without a repetition."""
    instants = [datetime.fromisoformat(instant) for instant in ledger]
    for earlier, later in itertools.pairwise(instants):
        assert later - earlier == timedelta(seconds=1), f"{earlier} is followed by {later}"
