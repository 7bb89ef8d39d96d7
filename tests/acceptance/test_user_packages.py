"""A user's repository may be laid out as it likes, with our own name and with names of the standard library."""

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.harness import CONTROLLER, Repository

pytestmark = pytest.mark.acceptance

FLOW = """
import json
import os.path

from controller.settings import WORD
from tools.words import other


def flow() -> str:
    return json.dumps([WORD, other(), __name__, os.path.basename(__file__)])
"""


def test_user_modules_named_controller_and_json_break_nothing(repository: Repository, running: Start) -> None:
    repository.write("controller/__init__.py", "raise_on_old_name = True\n")
    repository.write("controller/settings.py", "WORD = 'theirs'\n")
    repository.write("tools/words.py", "def other() -> str:\n    return 'tools'\n")
    repository.write("flows/json.py", "raise RuntimeError('json.py beside the flow was imported')\n")
    repository.write("json.py", "raise RuntimeError('json.py of the root was imported')\n")
    repository.write("sitecustomize.py", "raise RuntimeError('sitecustomize was imported')\n")
    repository.write("flows/flow.py", FLOW)
    repository.write("deployments/a.yaml", "name: theirs\nflow: flows/flow.py:flow\n")
    repository.commit()
    running(repository)
    repository.wait_for_revision(None)
    run = repository.trigger("theirs")
    assert (run["state"], run["reason"]) == ("succeeded", None)
    assert run["result"] == '["theirs", "tools", "flows.flow", "flow.py"]'
    # The installed script must not import what is in the current directory.
    here = repository.machine.run(CONTROLLER, "status", "-o", "json", cwd=repository.root)
    assert here.code == 0
    assert here.json()["controller"]["running"] is True
    assert repository.machine.run(CONTROLLER, "validate", cwd=repository.root).code == 0


def test_a_folder_named_controller_without_init_breaks_nothing(repository: Repository, running: Start) -> None:
    repository.write("controller/settings.py", "WORD = 'theirs'\n")
    repository.write("controller/deep/more.py", "WORD = 'deep'\n")
    repository.write(
        "flows/flow.py",
        """
        from controller.deep.more import WORD as deep
        from controller.settings import WORD


        def flow() -> list[str]:
            return [WORD, deep]
        """,
    )
    repository.write("deployments/a.yaml", "name: theirs\nflow: flows/flow.py:flow\n")
    repository.commit()
    running(repository)
    repository.wait_for_revision(None)
    run = repository.trigger("theirs")
    assert (run["state"], run["reason"], run["result"]) == ("succeeded", None, ["theirs", "deep"])


def test_a_flow_file_named_controller_py_works_and_flows_can_be_pickled(repository: Repository, running: Start) -> None:
    repository.write(
        "controller.py",
        """
        import asyncio
        import multiprocessing


        def square(number: int) -> int:
            return number * number


        async def flow() -> int:
            await asyncio.sleep(0)
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                return sum(pool.map(square, [1, 2, 3]))
        """,
    )
    repository.write("deployments/a.yaml", "name: spawns\nflow: controller.py:flow\ntimeout: 10m\n")
    repository.commit()
    running(repository)
    repository.wait_for_revision(None)
    run = repository.trigger("spawns")
    assert (run["state"], run["reason"], run["result"]) == ("succeeded", None, 14)
