"""The forks of the command server do not repeat what it has prepared."""

import select
import socket
import subprocess
import sys
from dataclasses import replace

import pytest

from controller.cli.command_preparation import prepare
from controller.settings import locate
from controller.state_url import parse_state_url
from tests.acceptance.conftest import Start
from tests.acceptance.harness import Repository, until
from tests.acceptance.several_controllers import each_a_process

pytestmark = pytest.mark.acceptance
commands = each_a_process

PREPARED = """
import os, sys, threading
import controller.app.controller
from controller.cli.command_preparation import prepare
from controller.cli.main import run
from controller.settings import locate
from controller.store.databases.engines import _COMPILED
from controller.store.prepared import Prepared

def counts():
    compiled = len(_COMPILED), sum(len(one._compiled) for one in Prepared._all)
    return compiled, len(sys.modules), len(os.listdir("/proc/self/fd")), threading.active_count()

location, report = locate(None, "deployments", None, None, None), os.dup(1)
os.dup2(os.open(os.devnull, os.O_RDWR), 1)
files, processes = os.listdir("/proc/self/fd"), []
sys.addaudithook(lambda event, _: processes.append(event) if event in ("subprocess.Popen", "os.fork") else None)
for _ in prepare(location):
    assert os.listdir("/proc/self/fd") == files
    assert threading.active_count() == 1
    assert not processes  # the server waits for all of its children, whoever started them
for line in sys.stdin.read().splitlines():
    if os.fork() == 0:
        before, code, after = counts(), run(line.split()), counts()
        added = [new for new, old in zip(after, before) if new != old]
        os.write(report, f"{line}: {code} {added}\\n".encode())
        os._exit(0)
    os.wait()
"""
"""Prepares itself as the command server does, runs the commands from standard input, and prints what each added."""
LOOKS = ["status", "status -o json", "runs list", "deployments list", "deployments show good", "next good", "events"]


def start_controller(repository: Repository, running: Start) -> None:
    repository.write("deployments/good.yaml", "name: good\ncommand: [echo, hello]\nschedule: {cron: '0 3 * * *'}\n")
    repository.commit()
    running(repository)
    until(lambda: repository.status()["source"]["last_applied_revision"], "the first pass")
    repository.tell("trigger", "good")


def look(repository: Repository) -> list[str]:
    """Run the commands in a process that has prepared itself, and return what each of them added."""
    done = subprocess.run(
        [sys.executable, "-c", PREPARED],
        cwd=repository.root,
        input="\n".join(LOOKS).encode(),
        capture_output=True,
        check=True,
        timeout=60,
    )
    return done.stdout.decode().splitlines()


def test_a_prepared_process_compiles_no_statement_and_loads_no_module_for_a_command(
    repository: Repository, running: Start
) -> None:
    start_controller(repository, running)
    assert look(repository) == [f"{command}: 0 []" for command in LOOKS]


def test_the_preparation_does_not_wait_for_a_server(repository: Repository) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        url = parse_state_url(f"postgresql+psycopg://user@127.0.0.1:{port}/state")
        location = locate(str(repository.root), "deployments", None, None, None)
        for _ in prepare(replace(location, state_url=url)):
            pass
        assert not select.select([server], [], [], 0)[0]  # nothing has connected
