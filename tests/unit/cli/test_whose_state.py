"""Which repository a state belongs to, who may look at it, and what is said of one that has lost its history."""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from controller.errors import StateError
from controller.remotes import canonical
from controller.settings import locate
from controller.store.access_check import check_access
from controller.store.state_directory import StateDirectory
from tests.command_server import CommandServer
from tests.conftest import NOW, GitRepository, new_repository
from tests.unit.cli.conftest import Answer, Command, Followed, copy_repository, start_controller

LOOKING = [["status"], ["deployments"], ["runs"], ["events"], ["occurrences", "a"], ["plan"], ["trigger", "a"]]


@pytest.fixture
def other(tmp_path: Path) -> GitRepository:
    """A second repository, with another deployment."""
    made = new_repository(tmp_path / "other")
    made.commit({"deployments/b.yaml": "name: b\ncommand: ['true']\n"})
    return made


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory, commands: CommandServer) -> tuple[GitRepository, Path]:
    """A repository that declares `a`, and a state directory to which it was applied."""
    directory = tmp_path_factory.mktemp("applied")
    repository = new_repository(directory / "repo")
    repository.commit({"deployments/a.yaml": "name: a\ncommand: ['true']\n"})
    state = directory / "state"
    place = ("--repo", str(repository.path), "--state-dir", str(state))
    done = commands.run("run", "--once", *place, cwd=directory, env={"PATH": os.defpath})
    assert done.returncode == 0
    return repository, state


@pytest.fixture
def owner(applied: tuple[GitRepository, Path]) -> GitRepository:
    """The repository that `state` belongs to. It declares `a`."""
    return applied[0]


@pytest.fixture
def state(tmp_path: Path, applied: tuple[GitRepository, Path]) -> Path:
    """A state directory of this test."""
    return Path(shutil.copytree(applied[1], tmp_path / "state"))


def once(command: Command, repo: Path | str, state: Path, *more: str) -> Answer:
    return command("run", "--once", "--repo", str(repo), "--state-dir", str(state), *more)


def names(command: Command, repo: Path | str, state: Path) -> list[str]:
    rows = command("deployments", "-o", "json", "--repo", str(repo), "--state-dir", str(state)).json
    return [row["name"] for row in rows]


def test_the_state_of_another_repository_is_rejected(
    owner: GitRepository, other: GitRepository, state: Path, command: Command
) -> None:
    for _ in range(2):
        answer = once(command, other.path, state)
        assert answer.code == 2
        assert f"belongs to the repository {owner.path}, not to {other.path}" in answer.err
        assert "--adopt-state" in answer.err
    assert names(command, owner.path, state) == ["a"]


@pytest.mark.parametrize("arguments", LOOKING, ids=" ".join)
def test_the_state_of_another_repository_is_not_shown(
    owner: GitRepository, other: GitRepository, state: Path, command: Command, arguments: list[str]
) -> None:
    answer = command(*arguments, "--repo", str(other.path), "--state-dir", str(state))
    assert (answer.code, answer.out) == (2, "")
    assert f"belongs to the repository {owner.path}, not to {other.path}" in answer.err
    assert f"--repo {owner.path}" in answer.err


def test_adopt_state_takes_over_the_state_of_another_repository(
    owner: GitRepository, other: GitRepository, state: Path, command: Command
) -> None:
    assert once(command, other.path, state, "--adopt-state").code == 0
    assert names(command, other.path, state) == ["b"]
    assert once(command, other.path, state).code == 0
    assert once(command, owner.path, state).code == 2
    found = command("events", "-o", "json", "--repo", str(other.path), "--state-dir", str(state)).json
    [event] = [event for event in found if event["reason"] == "StateAdopted"]
    assert event["message"] == f"The state of {owner.path} was adopted for {other.path}."


def test_the_repository_is_recognized_however_it_is_named(
    owner: GitRepository, state: Path, tmp_path: Path, command: Command
) -> None:
    (tmp_path / "link").symlink_to(owner.path)
    path = str(owner.path)
    for name in (
        f"{path}/",
        f"{owner.path.parent}/./repo",
        f"{owner.path}/../repo",
        f"{tmp_path}/link",
        f"file://{path}",
    ):
        assert once(command, name, state).code == 0, name
        assert names(command, name, state) == ["a"], name


def test_another_ref_path_or_environment_is_the_same_repository(
    owner: GitRepository, state: Path, command: Command
) -> None:
    owner.git("branch", "next")
    assert once(command, owner.path, state, "--ref", "next").code == 0
    assert names(command, owner.path, state) == ["a"]
    # A path that never existed is a slip: nothing is pruned for it.
    assert once(command, owner.path, state, "--path", "elsewhere").code == 2
    assert names(command, owner.path, state) == ["a"]


def test_a_plan_of_another_project_than_that_of_the_state_has_an_error(
    repository: GitRepository, command: Command, tmp_path: Path
) -> None:
    place = ("--repo", str(repository.path), "--state-dir", str(tmp_path / "state"))
    repository.commit({"controller.yaml": "project: sales\n", "deployments/a.yaml": "name: a\ncommand: ['true']\n"})
    assert command("run", "--once", *place).code == 0
    assert command("plan", *place).code == 0
    repository.commit({"controller.yaml": "queues: {}\nproject: hr\n"})
    answer = command("plan", *place)
    assert answer.code == 1
    assert "controller.yaml:2" in answer.out
    assert "the project is hr, but the controller runs the project sales" in answer.out
    refused = command("run", "--once", *place)
    assert (refused.code, "is that of the project sales, not of hr" in refused.err) == (2, True)


@pytest.mark.parametrize("place", [".git/controller", ".controller"])
def test_a_repository_moved_with_its_state_is_recognized(
    repository: GitRepository, tmp_path: Path, command: Command, place: str
) -> None:
    repository.commit({"deployments/a.yaml": "name: a\ncommand: ['true']\n"})
    assert once(command, repository.path, repository.path / place).code == 0
    moved = tmp_path / "moved"
    repository.path.rename(moved)
    assert command("status", "--repo", str(moved)).code == 0
    assert command("run", "--once", "--repo", str(moved)).code == 0
    found = command("events", "-o", "json", "--repo", str(moved)).json
    assert [event["reason"] for event in found].count("StateMoved") == 1


def test_a_copied_repository_does_not_take_the_state_of_the_original(
    repository: GitRepository, tmp_path: Path, command: Command
) -> None:
    repository.commit({"deployments/a.yaml": "name: a\ncommand: ['true']\n"})
    assert command("run", "--once", "--repo", str(repository.path)).code == 0
    shutil.copytree(repository.path, tmp_path / "copy", symlinks=True)
    answer = command("run", "--once", "--repo", str(tmp_path / "copy"))
    assert answer.code == 2
    assert f"belongs to the repository {repository.path}" in answer.err


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://Example.org/x/y.git", "https://example.org/x/y"),
        ("https://example.org:443/x/y/", "https://example.org/x/y"),
        ("ssh://git@example.org:22/x.git", "ssh://git@example.org/x.git/"),
        ("git@Example.org:x/y.git", "git@example.org:x/y"),
        ("file:///srv/with%20space.git", "/srv/with space.git"),
        ("/srv/x/.git", "/srv/x"),
    ],
)
def test_spellings_of_one_repository_are_equal(one: str, other: str) -> None:
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://example.org/x/y", "https://example.org/x/Y"),
        ("https://example.org/x", "https://example.net/x"),
        ("ssh://a@example.org/x", "ssh://b@example.org/x"),
        ("/srv/x", "/srv/x.git"),
    ],
)
def test_different_repositories_are_different(one: str, other: str) -> None:
    assert canonical(one) != canonical(other)


@pytest.fixture(scope="module")
def killed(
    tmp_path_factory: pytest.TempPathFactory, followed_repository: GitRepository, commands: CommandServer
) -> GitRepository:
    """A repository with the state that a controller leaves when it is killed after a run: with a write-ahead log."""
    repository = copy_repository(followed_repository, tmp_path_factory.mktemp("killed") / "repo")
    controller, _ = start_controller(commands, repository)
    place = ("--repo", str(repository.path))
    done = commands.run("trigger", "sums", "--wait", *place, cwd=repository.path, env={"PATH": os.defpath})
    controller.kill()
    assert (done.returncode, controller.wait(60)) == (0, -signal.SIGKILL)
    return repository


@pytest.fixture
def used(killed: GitRepository, command: Command) -> Followed:
    """The same, for one test."""
    return Followed(killed, command)


def lose(followed: Followed, how: str, copy: Path) -> Path:
    """Copy the state without its history."""
    state = followed.state
    shutil.copytree(state, copy, ignore=shutil.ignore_patterns("*.sock"))
    if how == "no runs":
        with closing(sqlite3.connect(copy / "state.db")) as database:
            database.execute("DELETE FROM runs")
            database.commit()
    for end in ("-wal", "-shm"):
        (copy / f"state.db{end}").unlink(missing_ok=True)
    if how == "empty":
        (copy / "state.db").write_bytes(b"")
    elif how == "missing":
        (copy / "state.db").unlink()
    return copy


@pytest.mark.parametrize("how", ["empty", "missing", "no runs", "no log"])
def test_a_state_that_lost_its_history_is_rejected(used: Followed, how: str, tmp_path: Path) -> None:
    copy = lose(used, how, tmp_path / "state")
    for _ in range(2):
        answer = used("run", "--once", "--state-dir", str(copy))
        assert (answer.code, answer.out) == (2, "")
        assert "has lost its history" in answer.err
    [words] = re.findall("mv .*", answer.err)
    subprocess.run(["sh", "-c", words], check=True)
    assert used("run", "--once", "--state-dir", str(copy)).code in (0, 1)


def test_a_missing_database_is_noticed_without_runs(state: Path, owner: GitRepository, command: Command) -> None:
    (state / "token.sha256").write_text("0\n", encoding="utf-8")
    (state / "state.db").unlink()
    for answer in (
        once(command, owner.path, state),
        command("status", "--repo", str(owner.path), "--state-dir", str(state)),
    ):
        assert answer.code == 2
        assert "has lost its history: state.db is missing" in answer.err


def test_an_older_database_is_accepted_after_the_newer_runs_are_moved_away(used: Followed, tmp_path: Path) -> None:
    copy = lose(used, "no runs", tmp_path / "state")
    answer = used("run", "--once", "--state-dir", str(copy))
    assert f"it has no record of 1 run in {copy}/runs" in answer.err
    assert f"mv {copy}/runs {copy}/runs.lost" in answer.err


def test_the_error_for_another_user_names_the_owner_of_the_state() -> None:
    def told(root: Path) -> str:
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setuid(65534)
            try:
                check_access(locate(str(root), "", None, None))
            except StateError as error:
                os.write(write, error.message.encode())
            os._exit(0)
        os.waitpid(pid, 0)
        os.close(write)
        with os.fdopen(read) as stream:
            return stream.read()

    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        state = StateDirectory(root / ".controller")
        state.hold(version="1", now=NOW, pause=lambda _: None)
        if os.geteuid() != 0:
            state.path.chmod(0)
        assert f"is running (pid {os.getpid()}); only that user can read its state {state.path}" in told(root)
        assert "A controller of the user " in told(root)
        state.release()
        assert f"The state directory {state.path} belongs to the user " in told(root)
        state.path.chmod(0o700)
