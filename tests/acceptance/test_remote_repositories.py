"""A repository behind a URL is followed, and deployments stay active while it is unreachable."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.harness import Machine, Remote
from tests.servers import HttpServer, http_server

pytestmark = pytest.mark.acceptance

PASSWORD = "correct-horse-battery"
TICK = """
name: tick
flow: flows/tick.py:tick
schedule: {interval: 1s}
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HttpServer]:
    """Serves everything below the test's directory, to clients that know the password."""
    with http_server(tmp_path) as found:
        found.behaviour.credentials = ("ada", PASSWORD)
        yield found


@pytest.fixture
def remote(tmp_path: Path, machine: Machine, server: HttpServer) -> Remote:
    machine.environment |= {"CONTROLLER_GIT_USERNAME": "ada", "CONTROLLER_GIT_PASSWORD": PASSWORD}
    found = Remote(tmp_path / "r", machine, f"{server.url}/r/.git")
    found.write("flows/tick.py", "def tick() -> str:\n    return 'first'\n")
    found.write("deployments/tick.yaml", TICK)
    return found


def ready(remote: Remote) -> tuple[str, str]:
    (condition,) = (one for one in remote.status()["source"]["conditions"] if one["type"] == "Ready")
    return condition["status"], condition["reason"]


def test_a_remote_repository_is_followed_and_runs_are_pinned_to_its_commits(
    remote: Remote, server: HttpServer, running: Start
) -> None:
    first = remote.commit()
    controller = running(remote, "--interval", "1s")
    status = remote.status_at(first)
    assert (status["source"]["repo"], status["source"]["revision"]) == (f"{server.url}/r/.git", first)
    run = remote.wait_for_run("tick")
    assert (run["revision"], run["result"]) == (first, "first")

    remote.write("flows/tick.py", "def tick() -> str:\n    return 'second'\n")
    second = remote.commit()
    remote.wait_for_revision(second)
    run = remote.wait_for_run("tick", more=2)
    assert (run["revision"], run["result"]) == (second, "second")

    # While the server is away, active deployments keep firing.
    server.behaviour.status = 503
    remote.wait_for_status(lambda: ready(remote) == ("False", "Unreachable"), "the server to be missed")
    assert remote.wait_for_run("tick", more=2)["revision"] == second
    assert remote.deployment("tick")["sync"] == "Unknown"
    server.behaviour.status = None
    remote.wait_for_status(lambda: ready(remote) == ("True", "Applied"), "the server to be back")

    # History that was rewritten is followed.
    remote.write("flows/tick.py", "def tick() -> str:\n    return 'third'\n")
    remote.git("commit", "-q", "--all", "--amend", "--message", "rewritten")
    third = f"main@sha1:{remote.git('rev-parse', 'HEAD')}"
    remote.wait_for_revision(third)
    assert remote.wait_for_run("tick", more=2)["result"] == "third"

    controller.stop()
    written = [path for path in (*remote.state.rglob("*"), controller.log) if path.is_file()]
    assert not [path for path in written if PASSWORD.encode() in path.read_bytes()]


def test_a_stalled_server_does_not_keep_the_controller_from_stopping(
    remote: Remote, server: HttpServer, running: Start
) -> None:
    remote.commit()
    server.behaviour.stall_at_refs = True
    controller = running(remote)
    assert server.stalled.wait(60)
    controller.stop()


def test_after_a_restart_schedules_fire_while_the_server_stalls(
    remote: Remote, server: HttpServer, running: Start
) -> None:
    remote.commit()
    controller = running(remote)
    remote.wait_for_run("tick")
    controller.stop()
    server.behaviour.stall_at_refs = True
    controller = running(remote)
    assert server.stalled.wait(60)
    remote.wait_for_run("tick", more=3)
    assert "Applied" not in controller.output
    controller.stop()


def test_wrong_credentials_are_reported_at_once(remote: Remote) -> None:
    remote.commit()
    answer = remote.ask("run", "--once", CONTROLLER_GIT_PASSWORD="wrong")
    assert (answer.code, "Authentication failed" in answer.err, "wrong" in answer.err) == (2, True, False)
    answer = remote.ask("run", "--once")
    assert (answer.code, "Applied" in answer.out) == (0, True)
