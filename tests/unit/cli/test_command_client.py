"""Only commands that read and `trigger`, if they end by themselves, are forwarded to the controller."""

import json
import os
import select
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from controller import __version__
from controller.cli.command_client import SOCKET, STARTED, _wait, run_in_server
from controller.cli.command_server import _read_request
from controller.cli.forwarded_commands import is_forwarded
from controller.cli.main import GROUPS
from tests.conftest import wait_until
from tests.generated.option_tables import leaves

READING = {
    "status",
    "deployments list",
    "deployments show",
    "runs list",
    "runs show",
    "runs logs",
    "events",
    "occurrences",
    "next",
    "backfills list",
    "backfills show",
    "graph",
    "python list",
    "python show",
}


def test_exactly_the_commands_that_read_and_trigger_are_forwarded() -> None:
    forwarded = {name for name, _ in leaves() if is_forwarded([*name.split(), "x"])}
    assert forwarded == READING | {"trigger"}
    assert {name.split()[0] for name in READING} <= {*GROUPS["Look"], "python"}


@pytest.mark.parametrize("option", ["--wait", "--logs"])
def test_a_trigger_that_waits_for_its_run_is_not_forwarded(option: str) -> None:
    assert is_forwarded(["trigger", "nightly", "--param", "days=3"])
    assert not is_forwarded(["trigger", "nightly", option])


@pytest.mark.parametrize("options", [["--watch"], ["-w"], ["-ow"], ["-f"], ["--follow"]])
def test_commands_that_wait_are_not_forwarded(options: list[str]) -> None:
    assert not is_forwarded(["runs", "list", *options])
    assert not is_forwarded(["runs", "logs", "abc", *options])


def test_a_group_without_a_subcommand_lists_and_is_forwarded() -> None:
    assert is_forwarded(["runs"])
    assert is_forwarded(["runs", "--state", "failed"])
    assert not is_forwarded([])


def test_a_server_of_another_user_is_not_used_and_gets_no_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTROLLER_STATE_DIR", str(tmp_path))
    own = os.geteuid()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        monkeypatch.chdir(tmp_path)
        listener.bind(SOCKET)
        listener.listen()
        monkeypatch.setattr(os, "geteuid", lambda: own + 1)
        assert run_in_server(["status"]) is None
        with listener.accept()[0] as connection:
            assert connection.recv(1 << 20) == b""


def test_a_command_that_was_started_does_not_run_again_if_the_connection_fails() -> None:
    client, server = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with client, server, ThreadPoolExecutor() as pool:
        client.send(b"unread, so that closing the other end resets the connection")
        server.send(STARTED)
        answer = pool.submit(_wait, client)
        wait_until(lambda: not select.select([client], [], [], 0)[0])
        server.close()
        assert answer.result() == 2


def test_a_request_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, own = tmp_path.stat(), os.geteuid()
    state = [str(tmp_path), status.st_dev, status.st_ino]
    message = json.dumps({"version": __version__, "state": state}).encode()
    client, server = socket.socketpair()
    with client, server:
        assert _read_request(message, server, state) is not None
        monkeypatch.setattr(os, "geteuid", lambda: own + 1)
        assert _read_request(message, server, state) is None
