"""Commands that read run in a fork of the controller, and print the same as in their own process."""

import json
import os
import pty
import re
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from controller.cli import command_client
from tests.acceptance.conftest import Start
from tests.acceptance.harness import Repository, Running, is_alive, until
from tests.command_server import CONTROLLER

pytestmark = pytest.mark.acceptance

FILES = {
    "deployments/good.yaml": (
        "name: good\ncommand: [echo, hello]\nschedule: {cron: '0 3 * * *', timezone: Europe/Berlin}\n"
    ),
    "deployments/wrong.yaml": "name: wrong\ncommand: 5\n",
}
LOOKS = [
    ("status",),
    ("status", "-o", "json"),
    ("deployments",),
    ("deployments", "show", "good"),
    ("deployments", "list", "-o", "yaml"),
    ("deployments", "show", "god"),
    ("runs", "list", "-o", "wide"),
    ("runs", "logs", "no-such-run"),
    ("runs", "list", "--state", "nonsense"),
    ("events", "-o", "jsonl"),
    ("occurrences", "good"),
    ("next", "good", "-o", "json"),
    ("backfills",),
    ("graph", "-o", "dot"),
    ("status", "extra"),
]


def commands_socket(repository: Repository) -> Path:
    return repository.state / "commands.sock"


@pytest.fixture
def controller(repository: Repository, running: Start) -> Running:
    """A controller that has applied a deployment and run it once."""
    for path, text in FILES.items():
        repository.write(path, text)
    repository.commit()
    started = running(repository)
    repository.wait_for_revision(None)
    repository.trigger("good")
    until(commands_socket(repository).is_socket, "the command server")
    return started


def ask(
    repository: Repository, *arguments: str, here: bool = False, env: Mapping[str, str] | None = None
) -> tuple[int, bytes, bytes, int]:
    """Run the installed script; `here`: without the server. Returns its exit code, outputs, and its loaded modules."""
    hidden = commands_socket(repository).with_name("hidden")
    if here:
        commands_socket(repository).rename(hidden)
    try:
        done = subprocess.run(
            [CONTROLLER, *arguments],
            cwd=repository.root,
            env={"PATH": os.defpath, "HOME": "/", "PYTHONPROFILEIMPORTTIME": "1", **(env or {})},
            capture_output=True,
            check=False,
            timeout=60,
        )
    finally:
        if here:
            hidden.rename(commands_socket(repository))
    lines = done.stderr.splitlines(keepends=True)
    errors = b"".join(line for line in lines if not line.startswith(b"import time:"))
    return done.returncode, done.stdout, errors, len(lines)


def without_times(output: bytes) -> bytes:
    """Replace numbers and spans such as `1m5s`, which change with every second, and the width of columns."""
    return re.sub(rb"[ \xe2\x94\x80]+", b" ", re.sub(rb"(?:[0-9]+[dhms]?)+", b"0", output))


def server_of(controller: Running) -> int:
    """Return the process id of the command server: the child of the controller with the same command line."""
    own = Path(f"/proc/{controller.process.pid}/cmdline").read_bytes()
    tasks = Path(f"/proc/{controller.process.pid}/task")
    children = [int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()]
    [server] = [pid for pid in children if Path(f"/proc/{pid}/cmdline").read_bytes() == own]
    return server


@pytest.mark.usefixtures("controller")
def test_forwarded_commands_print_the_same_without_loading_the_command_line(repository: Repository) -> None:
    for arguments in LOOKS:
        forwarded, local = ask(repository, *arguments), ask(repository, *arguments, here=True)
        assert forwarded[0] == local[0], arguments
        assert without_times(forwarded[1]) == without_times(local[1])
        assert forwarded[2] == local[2]
        assert forwarded[3] < local[3] / 2  # modules


@pytest.mark.usefixtures("controller")
def test_a_trigger_is_forwarded_and_starts_one_run(repository: Repository) -> None:
    code, output, errors, modules = ask(repository, "trigger", "good", "--idempotency-key", "once")
    assert (code, errors) == (0, b"")
    again = ask(repository, "trigger", "good", "--idempotency-key", "once", here=True)
    assert output.split()[0] == again[1].split()[0]
    assert modules < again[3] / 2
    unknown = [ask(repository, "trigger", "god", here=here)[:3] for here in (False, True)]
    assert unknown[0] == unknown[1]
    assert unknown[0][0] == 2


@pytest.mark.usefixtures("controller")
def test_a_forwarded_command_creates_no_file_for_its_client(repository: Repository) -> None:
    """The process of the command does not have the client's umask."""
    trigger = ("trigger", "good", "--idempotency-key", "once")
    repository.wait_for_end(ask(repository, *trigger)[1].split()[0].decode())

    def modes() -> dict[Path, int]:
        return {path: path.lstat().st_mode for path in repository.root.rglob("*")}

    before = modes()
    for arguments in (*LOOKS, trigger, ("runs", "show", "no-such-run"), ("python",)):
        ask(repository, *arguments)
    assert modes() == before


def test_the_time_of_commands_counts_as_that_of_the_server(repository: Repository, controller: Running) -> None:
    """The benchmarks read it from there."""
    ticks = f"/proc/{server_of(controller)}/stat"

    def of_children() -> int:
        return sum(map(int, Path(ticks).read_text().rpartition(")")[2].split()[13:15]))

    before = of_children()
    until(lambda: ask(repository, "status")[0] == 0 and of_children() > before, "the time of the commands")


@pytest.mark.usefixtures("controller")
def test_a_forwarded_command_has_the_environment_the_directory_and_the_streams_of_its_client(
    repository: Repository, tmp_path: Path
) -> None:
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    assert ask(repository, "runs", env=ascii_only)[1].isascii()
    elsewhere = subprocess.run(
        [CONTROLLER, "next", "good", "--repo", os.path.relpath(repository.root, tmp_path)],
        cwd=tmp_path,
        env={"PATH": os.defpath},
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert b" 03:00:00+0" in elsewhere.stdout
    assert ask(repository, "status", env={"CONTROLLER_STATE_DIR": str(tmp_path)})[0] == 2
    script = f"{CONTROLLER} status | head -n 1; echo ${{PIPESTATUS[0]}}; {CONTROLLER} status >&-"
    closed = subprocess.run(["bash", "-c", script], cwd=repository.root, capture_output=True, check=True, timeout=60)
    assert closed.stderr == b""
    assert closed.stdout.splitlines()[0].startswith(b"controller")


@pytest.mark.usefixtures("controller")
def test_a_forwarded_command_sees_the_terminal_of_its_client(repository: Repository) -> None:
    def on_terminal(*, here: bool) -> bytes:
        chunks: list[bytes] = []

        def keep(descriptor: int) -> bytes:
            chunks.append(os.read(descriptor, 65536))
            return chunks[-1]

        hidden = commands_socket(repository).with_name("hidden")
        if here:
            commands_socket(repository).rename(hidden)
        code = pty.spawn([str(CONTROLLER), "status", "--repo", str(repository.root)], keep, lambda _: b"")
        if here:
            hidden.rename(commands_socket(repository))
        assert code == 0
        return b"".join(chunks)

    forwarded = on_terminal(here=False)
    assert b"\x1b[" in forwarded
    assert without_times(forwarded) == without_times(on_terminal(here=True))


def test_the_server_keeps_no_files_of_its_commands_and_serves_many_at_once(
    repository: Repository, controller: Running
) -> None:
    files = Path(f"/proc/{server_of(controller)}/fd")
    before = len(list(files.iterdir()))
    many = [
        subprocess.Popen([CONTROLLER, "runs", "-o", "json"], cwd=repository.root, stdout=subprocess.PIPE)
        for _ in range(20)
    ]
    answers = [one.communicate(timeout=60)[0] for one in many]
    assert len({json.dumps(json.loads(answer)) for answer in answers}) == 1
    assert len(list(files.iterdir())) == before


def test_a_command_ends_with_its_client(repository: Repository, controller: Running) -> None:
    """The command blocks because its output is a full pipe."""
    server = server_of(controller)
    read, write = os.pipe()
    os.set_blocking(write, False)
    while True:
        try:
            os.write(write, b"x" * 4096)
        except BlockingIOError:
            break
    os.set_blocking(write, True)
    client = subprocess.Popen([CONTROLLER, "status"], cwd=repository.root, stdout=write)
    children = Path(f"/proc/{server}/task/{server}/children")
    [command] = map(int, until(lambda: children.read_text().split(), "the command"))
    client.kill()
    client.wait(60)
    until(lambda: not is_alive(command), "the command to end")
    os.close(read)
    os.close(write)


def test_commands_run_by_themselves_without_a_server_of_their_version_and_user(
    repository: Repository, controller: Running
) -> None:
    os.kill(server_of(controller), signal.SIGKILL)
    code, output, errors, modules = ask(repository, "status")
    assert (code, errors) == (0, b"")
    assert b"running, pid" in output
    assert modules > 200
    assert controller.process.poll() is None


def test_the_server_ends_with_its_controller(repository: Repository, controller: Running) -> None:
    server = server_of(controller)
    controller.kill()
    until(lambda: not is_alive(server), "the server to end")
    assert b"not running" in ask(repository, "status")[1]
    assert not commands_socket(repository).exists()


def test_a_controller_that_stops_removes_its_socket_and_no_other(repository: Repository, running: Start) -> None:
    for is_own in (True, False):
        started = running(repository)
        until(commands_socket(repository).is_socket, "the command server")
        if not is_own:
            commands_socket(repository).unlink()
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:
                other.bind(str(commands_socket(repository)))
        started.stop()
        assert commands_socket(repository).exists() is not is_own


@pytest.mark.usefixtures("controller")
def test_the_server_refuses_requests_of_another_version_or_for_another_state(
    repository: Repository, tmp_path: Path
) -> None:
    own = json.loads(command_client._request(["next", "good"], str(repository.state)))
    other = os.stat(tmp_path)  # noqa: PTH116
    refused = [
        {"version": "0.0.0"},
        {"state": [str(tmp_path), other.st_dev, other.st_ino]},
        {"state": [str(tmp_path), *own["state"][1:]]},
        {"state": None},
    ]
    assert [request(repository, own | changes) for changes in ({}, *refused)] == [b"started", *[b"refused"] * 4]
    assert request(repository, None) == b"refused"
    assert ask(repository, "status")[0] == 0


def request(repository: Repository, message: object) -> bytes:
    """Send a request to the server and return its first answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection, Path(os.devnull).open("r+b") as null:
        connection.settimeout(60)
        connection.connect(str(commands_socket(repository)))
        directory = os.open("/", os.O_RDONLY)
        socket.send_fds(connection, [json.dumps(message).encode()], [*[null.fileno()] * 3, directory])
        os.close(directory)
        return connection.recv(16)
