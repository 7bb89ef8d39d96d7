"""Names in a repository are bytes: what a run sees does not depend on the locale of the controller or of the flow."""

import os
from pathlib import Path

import pytest

from controller.model.runs import RunState
from controller.sources.git import GitSource
from tests.conftest import GitRepository
from tests.unit.runs.conftest import World, one_start

pytestmark = pytest.mark.integration

# A new interpreter takes ASCII for the encoding of file names, which spells the least of all.
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

FLOW = """
import os, sys

def main():
    assert os.environb[b"ANIMAL"] == "żółw".encode()
    assert os.path.basename(os.getcwdb()) == "żółć".encode()
    names = sorted(os.listdir(b"."))
    return [sys.getfilesystemencoding(), *(name.hex() for name in names)]
"""


@pytest.mark.parametrize("locale", [{}, ASCII], ids=["utf-8", "ascii"])
def test_a_run_finds_files_of_any_name_in_any_locale(world: World, locale: dict[str, str]) -> None:
    repository = GitRepository(world.root)
    repository.git("init", "--quiet", "--initial-branch=main")
    world.write("flows/żółty.py", FLOW)
    world.write("data/żółć/x.txt", "x")
    odd = os.fsencode(world.root) + b"/data/" + "żółć".encode() + b"/\xff\xfe.bin"
    with open(odd, "wb") as stream:  # noqa: PTH123
        stream.write(b"odd")
    (world.root / "data/żółć/link").symlink_to("x.txt")
    rest = "working_directory: data/żółć\nenv: {ANIMAL: żółw}\n"
    world.write("deployments/flow.yaml", f"name: flow\nflow: flows/żółty.py:main\n{rest}")
    script = '[ "$1" = żółw ] && [ "$ANIMAL" = żółw ] && ls | wc -l'
    world.write("deployments/command.yaml", f"name: command\ncommand: [sh, -c, '{script}', sh, żółw]\n{rest}")
    repository.commit()
    world.source = GitSource(world.root, ref=None, path="deployments", exports=world.state / "exports")
    world.declare()
    world.start(base=locale)
    run = world.run("flow")
    encoding = "ascii" if locale else "utf-8"
    names = sorted([b"link", b"x.txt", b"\xff\xfe.bin"])
    assert (run.reason, run.state) == (None, RunState.SUCCEEDED)
    assert run.result == [encoding, *(name.hex() for name in names)]
    command = world.run("command")
    assert (command.reason, command.state) == (None, RunState.SUCCEEDED)
    assert world.log(command).strip() == "3"


def test_a_directory_with_files_of_any_name_is_followed(world: World) -> None:
    world.write("flows/żółty.py", "def main() -> str:\n    return 'done'\n")
    (world.root / "flows" / os.fsdecode(b"\xff.py")).touch()
    world.declare(**{"żółw": "name: flow\nflow: flows/żółty.py:main\n"})
    world.start(base=ASCII)
    assert world.run("flow").result == "done"


@one_start
def test_the_reason_of_a_run_names_an_unusual_directory(world: World) -> None:
    world.write("żółć/x", "")
    world.declare(a="name: a\ncommand: ['true']\nworking_directory: żółć\n")
    (world.root / "żółć" / "x").unlink()
    Path(world.root / "żółć").rmdir()
    world.start(base=ASCII)
    assert world.run("a").reason == "could not be started: No such file or directory: the working directory żółć"
