"""A file or a disk that blocks does not keep the controller from firing, or from stopping."""

import os
import signal
import sqlite3
from contextlib import closing

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.harness import Repository, until

pytestmark = pytest.mark.acceptance

OFTEN = "name: often\ncommand: ['true']\nschedule: {interval: 1s}\n"


def test_a_fifo_in_place_of_head_is_reported_while_schedules_continue_and_sigterm_works(
    repository: Repository, running: Start
) -> None:
    repository.write("deployments/often.yaml", OFTEN)
    repository.commit()
    controller = running(repository, "--interval", "1s")
    repository.wait_for_run("often")
    head = repository.root / ".git" / "HEAD"
    head.rename(head.with_name("away"))
    os.mkfifo(head)

    def is_named() -> bool:
        [ready] = [one for one in repository.status()["source"]["conditions"] if one["type"] == "Ready"]
        return ready["status"] == "False" and f"{head} is a FIFO; git needs a regular file there." in ready["message"]

    until(is_named, "the FIFO to be named")
    repository.wait_for_run("often", more=2)
    assert repository.ask("doctor").code == 1
    assert repository.ask("plan").code == 2
    controller.stop()


def test_a_controller_with_all_threads_blocked_ends_on_sigterm(repository: Repository, running: Start) -> None:
    repository.write("deployments/often.yaml", OFTEN)
    repository.commit()
    controller = running(repository, "--interval", "1s")
    repository.wait_for_run("often")
    with closing(sqlite3.connect(repository.state / "state.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        repository.write("deployments/another.yaml", "name: another\ncommand: ['true']\n")
        repository.commit()
        controller.process.send_signal(signal.SIGTERM)
        until(lambda: controller.process.poll() is not None, "the controller to end")
    assert controller.process.returncode in (0, 1)
    assert "Traceback" not in controller.output
    controller = running(repository)
    repository.wait_for_run("often", more=1)
    controller.stop()
