"""The status shows the URL of the dashboard, and `open` opens its pages in a browser, logged in."""

from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from controller.app.controller import Controller
from controller.app.stop_signal import StopSignal
from controller.listen_address import Listen
from controller.settings import Location, Settings, default_state_directory
from tests.command_server import CommandServer
from tests.conftest import GitRepository, wait_until
from tests.unit.cli.conftest import FILES, Command, Followed


@pytest.fixture
def served(repository: GitRepository, command: Command) -> Iterator[Followed]:
    """A controller that serves the dashboard at a free port."""
    repository.commit({path: text for path, text in FILES.items() if "sums" in path})
    location = Location(
        repo=repository.path, path="deployments", ref=None, state_dir=default_state_directory(repository.path)
    )
    controller = Controller(Settings(location=location, listen=Listen(port=0, is_explicit=True)), StopSignal())
    controller.start()
    served = Followed(repository, command, controller)
    wait_until(lambda: served("deployments", "show", "sums").code == 0)
    yield served
    controller.stop()


def test_pages_are_opened_in_a_browser_that_is_logged_in(
    served: Followed, commands: CommandServer, tmp_path: Path
) -> None:
    url = served("status", "-o", "json").json["controller"]["url"]
    assert f"dashboard    {url}\n" in served("status").out
    run = served("trigger", "sums", "--wait", "-o", "json").json["run_id"]
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {opened}\n')
    browser.chmod(0o755)
    for arguments, path in (
        (("deployments", "open", "sums"), "/deployments/sums"),
        (("runs", "open", run[-12:]), f"/runs/{run}"),
    ):
        answer = commands.run(*arguments, cwd=served.repository.path, env={"BROWSER": str(browser)})
        assert (answer.returncode, answer.stdout.decode()) == (0, f"{url}{path}\n"), answer.stderr
        page, _, code = opened.read_text().partition("#")
        assert (page, len(code) > 20) == (f"{url}/login?next={path.replace('/', '%2F')}", True)
        assert f'value="{path}"' in urlopen(page).read().decode()
    without = commands.run("runs", "open", run, cwd=served.repository.path, env={})
    assert (without.returncode, without.stdout.decode()) == (0, f"{url}/runs/{run}\n")
    assert b"`controller login`" in without.stderr


def test_pages_that_do_not_exist_are_not_opened(served: Followed) -> None:
    unknown = served("deployments", "open", "sumz")
    assert (unknown.code, unknown.out, "hint: Did you mean sums?" in unknown.err) == (2, "", True)
    served.stop()
    assert served("status", "-o", "json").json["controller"]["url"] is None
    stopped = served("deployments", "open", "sums")
    assert (stopped.code, stopped.out, "No controller is running" in stopped.err) == (2, "", True)


def test_a_controller_without_a_dashboard_has_no_url(followed: Followed) -> None:
    assert followed("status", "-o", "json").json["controller"]["url"] is None
    answer = followed("deployments", "open", "sums")
    assert (answer.code, "does not serve the dashboard" in answer.err) == (2, True)
