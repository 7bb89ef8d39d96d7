"""`controller init` creates a repository wherever the directory is, and the commands that it prints can be pasted."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.command_server import CommandServer


@pytest.mark.parametrize("name", ["../shop", "../żó ł's shop/$x"])
def test_a_directory_beside_a_repository_gets_its_own(commands: CommandServer, tmp_path: Path, name: str) -> None:
    here = tmp_path / "here"
    here.mkdir()
    subprocess.run(["git", "init", "--quiet", here], check=True)
    env = {"PATH": os.defpath, "HOME": str(tmp_path)}
    answer = commands.run("init", name, cwd=here, env=env)
    assert answer.returncode == 0
    assert "committed the files to a new git repository" in answer.stdout.decode()
    [run] = [
        line.removeprefix("Now:  controller ")
        for line in answer.stdout.decode().splitlines()
        if line.startswith("Now: ")
    ]
    assert commands.run(*shlex.split(run), "--once", "--listen", "none", cwd=here, env=env).returncode == 0
    assert (here / name / ".git" / "controller" / "state.db").exists()


def test_a_directory_inside_a_repository_belongs_to_it(commands: CommandServer, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    answer = commands.run("init", "sub", cwd=tmp_path, env={"PATH": os.defpath, "HOME": str(tmp_path)})
    assert (answer.returncode, "commit the files to apply the deployment" in answer.stdout.decode()) == (0, True)
    assert not (tmp_path / "sub" / ".git").exists()
