"""Commands where git is missing, too old, broken or silent report a cause and a hint, or do not need git."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.command_server import CommandServer
from tests.conftest import GitRepository
from tests.unit.cli.conftest import FILES

NEEDED = "git 2.31 or newer is required"
Run = Callable[..., Any]


@pytest.fixture
def here(repository: GitRepository) -> GitRepository:
    repository.commit(FILES)
    return repository


@pytest.fixture
def with_git(here: GitRepository, commands: CommandServer, tmp_path: Path) -> Run:
    """`with_git(script)("plan")` runs a command where git is this shell script; None: where there is no git."""

    def choose(script: str | None) -> Run:
        bin_ = tmp_path / "bin"
        bin_.mkdir()
        if script is not None:
            (bin_ / "git").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
            (bin_ / "git").chmod(0o755)
        env = {"PATH": str(bin_) if script is None else f"{bin_}:/usr/bin:/bin", "HOME": str(here.path)}
        return lambda *arguments: commands.run(*arguments, cwd=here.path, env=env)

    return choose


NEED_GIT = [
    ("plan", "--base", "HEAD"),
    ("validate", "--ref", "main"),
    ("run", "--once"),
    ("run", "--listen", "none"),
    ("run", "--once", "--repo", "file:///srv/flows.git"),
]
NEED_NONE = [
    ("status",),
    ("validate", "deployments/sums.yaml"),
    ("schema",),
    ("version",),
    ("next", "asleep"),
    ("runs", "list"),
    ("events",),
    ("deployments", "list"),
    ("render", "sums"),
    ("execute", "sums"),
    ("explain", "unknown-field"),
]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (None, f"{NEEDED}, but there is no git on PATH"),
        ("echo git version 2.25.1", f"{NEEDED}; "),
        ("kill -SEGV $$", "does not work: `git version` exited with -11"),
        ("echo 'cannot load libpcre2' >&2; exit 127", "does not work: cannot load libpcre2"),
        ("echo hello", "does not work: `git version` printed 'hello'"),
    ],
)
def test_a_command_that_needs_git_explains_what_is_wrong_with_it(with_git: Run, script: str | None, said: str) -> None:
    controller = with_git(script)
    for arguments in NEED_GIT if script is None else NEED_GIT[:1]:
        answer = controller(*arguments)
        message = answer.stderr.decode()
        assert answer.returncode == 2, arguments
        assert message.startswith("error: "), message
        assert said in message
        assert "hint: " in message
        assert "internal error" not in message


def test_commands_that_need_no_git_work_without_it(with_git: Run) -> None:
    controller = with_git(None)
    for arguments in NEED_NONE:
        answer = controller(*arguments)
        assert b"git " not in answer.stderr, (arguments, answer.stderr)
        assert b"internal error" not in answer.stderr


def test_doctor_reports_a_missing_git_and_continues(with_git: Run) -> None:
    answer = with_git(None)("doctor")
    assert answer.returncode == 1
    assert f"error    git: {NEEDED}" in answer.stdout.decode()
    assert "ok       time zones" in answer.stdout.decode()


@pytest.mark.parametrize("arguments", [("plan", "--base", "HEAD"), ("doctor",)])
def test_a_broken_configuration_of_the_user_is_not_read(
    here: GitRepository, commands: CommandServer, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[user", encoding="utf-8")
    answer = commands.run(*arguments, cwd=here.path, env={"PATH": os.defpath, "HOME": str(home)})
    assert b"git" not in answer.stderr
    assert b"error    git" not in answer.stdout


def test_init_without_git_writes_the_files_and_lists_the_remaining_steps(with_git: Run, tmp_path: Path) -> None:
    answer = with_git(None)("init", str(tmp_path / "new"))
    assert answer.returncode == 2
    assert (tmp_path / "new/deployments/hello.yaml").is_file()
    assert f"could not be committed: {NEEDED}" in answer.stderr.decode()
    assert f"git -C {tmp_path / 'new'} init && " in answer.stderr.decode()


def test_init_commits_despite_a_broken_configuration(commands: CommandServer, tmp_path: Path) -> None:
    (tmp_path / ".gitconfig").write_text("[user", encoding="utf-8")
    answer = commands.run("init", "new", cwd=tmp_path, env={"PATH": os.defpath, "HOME": str(tmp_path)})
    assert (answer.returncode, answer.stderr) == (0, b"")
    assert b"committed the files" in answer.stdout
