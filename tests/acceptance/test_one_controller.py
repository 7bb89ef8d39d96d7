"""How a controller starts, ends and refuses to start."""

import json
import os
import signal

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.harness import Answer, Folder, Repository

pytestmark = pytest.mark.acceptance

GOOD = "name: good\ncommand: ['true']\n"


def refused(answer: Answer) -> str:
    """The message of a command that could not do it: one line of error, perhaps one of hint."""
    lines = answer.err.splitlines()
    assert answer.code == 2, answer
    assert lines[0].startswith("error: "), answer
    assert len(lines) <= 2, answer
    return answer.err


def test_a_second_controller_is_refused_with_the_pid_of_the_first(repository: Repository, running: Start) -> None:
    repository.write("deployments/good.yaml", GOOD)
    repository.commit()
    first = running(repository)
    repository.wait_for_revision(None)
    for how in ("run",), ("run", "--once"):
        assert f"pid {first.process.pid}" in refused(repository.ask(*how))
    assert repository.trigger("good")["state"] == "succeeded"
    assert repository.status()["controller"]["pid"] == first.process.pid
    other = repository.ask("run", "--once", "--state-dir", str(repository.root.parent / "other"))
    assert other.code == 0


def test_sigint_ends_the_controller_and_the_next_one_continues_from_its_state(
    repository: Repository, running: Start
) -> None:
    repository.write("deployments/good.yaml", GOOD)
    repository.commit()
    first = running(repository)
    repository.wait_for_revision(None)
    repository.trigger("good")
    first.stop(signal.SIGINT)
    absent = dict.fromkeys(("pid", "started_at", "version", "url"))
    assert repository.status()["controller"] == {"running": False, **absent}
    assert len(repository.runs("good")) == 1
    again = running(repository)
    repository.trigger("good")
    again.stop(signal.SIGTERM)
    assert len(repository.runs("good")) == 2
    assert repository.git("status", "--porcelain") == ""
    assert repository.state.stat().st_mode & 0o777 == 0o700
    private = [path for path in repository.state.rglob("*") if path.is_file() and "exports" not in path.parts]
    assert [path.name for path in private if path.stat().st_mode & 0o077 and path.name != ".gitignore"] == []


def test_run_once_reports_the_result_of_the_pass_by_its_exit_code(repository: Repository) -> None:
    empty = repository.ask("run", "--once")
    assert "no commits yet" in refused(empty)
    repository.write("deployments/good.yaml", GOOD)
    good = repository.commit()
    assert repository.ask("run", "--once").code == 0
    assert repository.status()["source"]["last_applied_revision"] == good
    repository.write("deployments/bad.yaml", "nam: bad\n")
    repository.commit()
    bad = repository.ask("run", "--once")
    assert bad.code == 1
    assert "deployments/bad.yaml:1:1" in bad.out
    assert repository.ask("run", "--once").code == 1
    repository.remove("deployments/bad.yaml")
    repository.commit()
    assert repository.ask("run", "--once").code == 0
    assert "no-such-branch" in refused(repository.ask("run", "--once", "--ref", "no-such-branch"))
    assert [row["name"] for row in repository.status()["deployments"]] == ["good"]


def test_the_controller_waits_for_the_first_commit_of_an_empty_repository(
    repository: Repository, running: Start
) -> None:
    controller = running(repository, "--interval", "1h")
    repository.wait_for_status(lambda: "no commits yet" in repository.ask("status").out, "the reason to be shown")
    assert controller.process.poll() is None
    repository.write("deployments/good.yaml", GOOD)
    repository.wait_for_revision(repository.commit())
    assert repository.trigger("good")["state"] == "succeeded"


def test_the_controller_waits_for_the_first_deployment_and_allows_removing_all(
    repository: Repository, running: Start
) -> None:
    repository.write("README", "nothing yet\n")
    repository.commit()
    running(repository, "--interval", "1h")
    repository.wait_for_status(lambda: "deployments/" in repository.ask("status").out, "the reason to be shown")
    assert repository.tell("runs") == repository.tell("deployments") == []
    repository.write("deployments/good.yaml", GOOD)
    repository.wait_for_revision(repository.commit())
    assert repository.trigger("good")["state"] == "succeeded"
    repository.remove("deployments")
    status = repository.status_at(repository.commit("Remove the last one"))
    assert status["deployments"] == []
    assert status["source"]["conditions"][0]["status"] == "True"
    assert len(repository.runs("good")) == 1


def test_a_damaged_state_is_an_error(repository: Repository) -> None:
    repository.write("deployments/good.yaml", GOOD)
    repository.commit()
    assert repository.ask("run", "--once").code == 0
    for extra in repository.state.glob("state.db-*"):
        extra.unlink()
    (repository.state / "state.db").write_bytes(b"this is no database" * 1000)
    assert "database" in refused(repository.ask("run"))
    assert "database" in refused(repository.ask("run", "--once"))
    assert "database" in refused(repository.ask("status"))


def test_a_database_with_damaged_pages_is_an_error(repository: Repository) -> None:
    repository.write("deployments/good.yaml", GOOD)
    repository.commit()
    assert repository.ask("run", "--once").code == 0
    for extra in repository.state.glob("state.db-*"):
        extra.unlink()
    content = bytearray((repository.state / "state.db").read_bytes())
    content[4096 * 2 :] = b"\xff" * len(content[4096 * 2 :])
    (repository.state / "state.db").write_bytes(content)
    assert "database" in refused(repository.ask("run", "--once"))


def test_an_unusable_state_directory_is_an_error(repository: Repository) -> None:
    repository.write("deployments/good.yaml", GOOD)
    repository.commit()
    file = repository.write("file", "not a directory\n")
    for place in (str(file), str(file / "below")):
        assert place in refused(repository.ask("run", "--state-dir", place))
    (repository.root / "dir" / "state.db").mkdir(parents=True)
    assert "database" in refused(repository.ask("run", "--once", "--state-dir", str(repository.root / "dir")))


def test_a_path_that_is_not_a_repository_is_an_error(repository: Repository) -> None:
    ask = repository.machine.controller
    assert "/nowhere" in refused(ask("run", "--repo", "/nowhere"))
    assert "unsupported URL" in refused(ask("run", "--repo", "ext::sh -c true"))
    assert "outside the repository" in refused(repository.ask("run", "--path", "../elsewhere"))
    assert "soon" in refused(repository.ask("run", "--interval", "soon"))


def test_a_controller_that_cannot_start_explains_why_and_exits(repository: Repository) -> None:
    (repository.state / "control.sock").mkdir(parents=True)
    answer = repository.ask("run", "--interval", "1h")
    assert (answer.code, answer.err.splitlines()[0]) == (
        2,
        f"error: Cannot create the socket {repository.state}/control.sock: Is a directory.",
    )


def test_options_can_be_set_by_environment_variables(repository: Repository) -> None:
    repository.write("ops/good.yaml", GOOD)
    repository.commit()
    state = repository.root.parent / "state"
    env = {"CONTROLLER_PATH": "ops", "CONTROLLER_STATE_DIR": str(state), "CONTROLLER_LOG_FORMAT": "json"}
    answer = repository.ask("run", "--once", **env)
    assert answer.code == 0
    assert [json.loads(line)["new"] for line in answer.out.splitlines()] == [1]
    shown = repository.machine.controller("status", "-o", "json", env={**env, "CONTROLLER_REPO": str(repository.root)})
    assert [row["name"] for row in shown.json()["deployments"]] == ["good"]
    assert not repository.state.exists()


def test_log_lines_are_json_with_log_format_json(repository: Repository, running: Start) -> None:
    repository.write("deployments/good.yaml", GOOD)
    repository.write("deployments/bad.yaml", 'name: "bad\\u001b[31m"\n')
    repository.commit()
    controller = running(repository, "--log-format", "json")
    repository.wait_for_revision(None)
    run = repository.trigger("good")
    controller.stop()
    lines = [json.loads(line) for line in controller.output.splitlines()]
    assert all({"time", "level", "message"} <= line.keys() for line in lines)
    assert all(line["time"].endswith("Z") for line in lines)
    assert {"Controller started", "Manifest finding", "Applied", "Run started", "Run succeeded"} <= {
        line["message"] for line in lines
    }
    assert [line["run"] for line in lines if line["message"] == "Run succeeded"] == [run["run_id"]]


def test_a_state_directory_with_a_long_path_works(repository: Repository, running: Start) -> None:
    long = Folder(repository.root.parent / ("long" * 30), repository.machine)
    long.write("deployments/good.yaml", GOOD)
    running(long)
    long.wait_for_revision(None)
    assert len(os.fsencode(long.state)) > 107
    assert long.trigger("good")["state"] == "succeeded"
