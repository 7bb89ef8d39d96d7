"""docs/tutorial.md is followed to the letter: its commands print the documented output."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.docs.pages import DOCS
from tests.docs.walkthrough import commands, matches, new_environment

pytestmark = pytest.mark.acceptance

PAGE = (DOCS / "tutorial.md").read_text(encoding="utf-8")
HOME = "/Developer/workflows"
SEED = """
from prefect import flow, task
from typing import List


@task
def add_numbers(nums):
    return sum(nums)

@flow(name="Addition Machine")
def calculator(nums: List[int]):
    return add_numbers(nums)
---
from prefect.deployments import DeploymentSpec

DeploymentSpec(
    flow_location="/Developer/workflows/my_flow.py",
    name="my-first-deployment",
    parameters={"nums": "[1, 2, 3, 4]"}, 
)
"""  # noqa: W291 - as it was


def steps() -> Iterator[tuple[str, str, str]]:
    """Each block: its kind, the file that was named last, its text."""
    name = ""
    for match in re.finditer(
        r"`(my_flow[\w.]*|deployments/[\w.]*)`|^```(\w+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE
    ):
        if match[1]:
            name = match[1]
        else:
            yield match[2], name, match[3]


def test_the_tutorial_commands_print_the_documented_output(tmp_path: Path) -> None:
    environment = new_environment(tmp_path / "home")
    work = tmp_path / "workflows"
    work.mkdir()
    running: subprocess.Popen[bytes] | None = None
    try:
        for kind, name, text in steps():
            if kind == "python":
                (work / name).write_text(text.replace(HOME, str(work)), encoding="utf-8")
                continue
            for command, output in commands(text):
                if command == "controller run":
                    with (tmp_path / "log").open("wb") as log:
                        running = subprocess.Popen(command.split(), cwd=work, env=environment, stdout=log, stderr=log)
                    wait_until((work / ".git/controller/control.sock").exists)
                    continue
                done = subprocess.run(
                    command,
                    shell=True,
                    cwd=work,
                    env=environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
                assert matches(done.stdout, output), f"$ {command}\n{done.stdout}"
    finally:
        if running is not None:
            running.terminate()
            running.wait(60)


def test_the_tutorial_files_match_the_original_flow_except_for_imports() -> None:
    written = [text for kind, _, text in steps() if kind == "python"][:2]
    ours = "---\n".join(written)
    theirs = SEED.lstrip("\n").replace("from prefect.deployments import", "from controller import")
    assert ours == theirs.replace("from prefect import", "from controller import")
