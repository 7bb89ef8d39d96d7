"""A command gets its parameters as a JSON object, in a file and on a descriptor, and never as arguments."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from controller.model.runs import RunState
from controller.runs.executors.local.users import find_user, grant_traversal
from tests.unit.runs.conftest import World, one_start
from tests.unit.runs.test_users import NOBODY, needs_root
from tests.unit.runs.test_users import tmp_path as tmp_path  # one that another user can get to

pytestmark = pytest.mark.integration

READ = 'cat "$CONTROLLER_PARAMETERS_FILE"; echo; cat <&5; echo; echo "$CONTROLLER_PARAMETERS_FD"; echo "$#$*"'
DOCUMENT = f"name: a\ncommand: [sh, -c, {json.dumps(READ)}]\n"
AWKWARD = {"region": "eu; rm -rf $HOME `id`", "days": 1.5, "none": None, "deep": {"ü": [1, "\n\x00"]}, "-x": True}


@one_start
def test_the_parameters_of_a_request_override_those_of_the_document(world: World) -> None:
    world.declare(a=DOCUMENT + "parameters: {days: 1, kept: yes}\n")
    world.start()
    run = world.run("a", **{"kept": "yes", **AWKWARD})
    first, second, number, arguments = world.log(run).splitlines()
    assert json.loads(first) == {"kept": "yes", **AWKWARD}
    assert (second, number, arguments) == (first, "5", "0")


@one_start
def test_a_command_without_parameters_reads_an_empty_object(world: World) -> None:
    world.declare(a=DOCUMENT)
    world.start()
    assert world.log(world.run("a")).splitlines()[:2] == ["{}", "{}"]


def test_a_python_flow_gets_its_parameters_as_arguments_and_no_file(world: World) -> None:
    code = "import os\ndef f(x):\n    names = [name for name in os.environ if 'PARAMETERS' in name]\n"
    code += "    return [x, names, os.path.exists('/proc/self/fd/5')]\n"
    world.write("flows/a.py", code)
    world.declare(a="name: a\nflow: flows/a.py:f\nparameters: {x: 1}\n")
    world.start()
    assert world.run("a").result == [1, [], False]


@needs_root
def test_only_the_user_of_the_flow_can_read_the_parameters(world: World) -> None:
    user = find_user(NOBODY)
    world.declare(a=f"name: a\ncommand: [sh, -c, {json.dumps(READ + '; stat -c %U:%a $CONTROLLER_PARAMETERS_FILE')}]\n")
    grant_traversal(user, world.state, world.runs_directory)
    world.start(user=user, base=user.environment)
    run = world.run("a", x=1)
    assert run.state is RunState.SUCCEEDED, world.log(run)
    lines = world.log(run).splitlines()
    assert (lines[0], lines[-1]) == ('{"x": 1}', f"{NOBODY}:600")


def test_a_command_in_the_foreground_reads_its_parameters(tmp_path: Path) -> None:
    (tmp_path / "deployments").mkdir()
    (tmp_path / "deployments" / "a.yaml").write_text(DOCUMENT, encoding="utf-8")
    controller = str(Path(sys.executable).parent / "controller")
    command = [controller, "execute", "a", "--param", "x=[1]", "--repo", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == ['{"x": [1]}', '{"x": [1]}', "5", "0"]
