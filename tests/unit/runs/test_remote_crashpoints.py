"""Controller, runner and supervisor die at every point of a remote attempt: never two starts, always an outcome.

The possible outcomes depend on the node alone: the controller may die at any time.
"""

import ast
from pathlib import Path
from typing import Any

import pytest

from controller.crashpoints import CONTROLLER, RUNNER, SUPERVISOR
from tests.thoroughness import THOROUGH
from tests.unit.runs.crash_pairs import ROOT, check_answers

pytestmark = pytest.mark.integration

NODE = [*(f"runner:{point}" for point in RUNNER), *(f"supervisor:{point}" for point in SUPERVISOR)]
# The controller writes nothing for a supervisor of its own before a remote launch.
OWN = [point for point in CONTROLLER if point != "prepared"]
PAIRS = [[*([own] if own else []), *([node] if node else [])] or ["none"] for own in ("", *OWN) for node in ("", *NODE)]
# A thorough run tries all pairs; others try each point alone, and every eighth pair.
if not THOROUGH:
    PAIRS = [pair for number, pair in enumerate(PAIRS) if len(pair) < 2 or number % 8 == 0]
SHARES = 4 if THOROUGH else 2

STARTED = {
    "runner:prepared": {0, 1},
    "runner:started": {0},
    "runner:running": {0, 1},
    "runner:ended": {1},
    "runner:reported": {1},
    "supervisor:locked": {0},
    "supervisor:ready": {0},
    "supervisor:go": {0},
    "supervisor:started": {0},
    "supervisor:forked": {0, 1},
    "supervisor:ended": {1},
    "supervisor:exited": {1},
}
"""How often the flow can have started, by the point at which its node failed."""
EARLY = ("claimed", "launched")
"""The points of a controller at which its job may not be submitted yet: that of the next controller does not fail."""
KNOWN = ("none", "runner:reported", "supervisor:exited")
"""The points at which the outcome is known: the last two come after the end of the flow, and its report."""


@pytest.mark.parametrize("share", range(SHARES))
def test_killing_controller_runner_and_supervisor_anywhere_starts_a_flow_at_most_once(
    tmp_path: Path, share: int
) -> None:
    pairs = PAIRS[share::SHARES]
    check_answers("tests.unit.runs.remote_crashing", tmp_path, pairs, is_right, timeout=600)


def is_right(answer: dict[str, Any]) -> bool:
    """The invariants, and what follows from the points for certain."""
    [own] = [point for point in answer["points"] if ":" not in point and point != "none"] or [None]
    [node] = [point for point in answer["points"] if ":" in point] or ["none"]
    first, second = answer["ends"]
    if second != 0 or first not in ((-9, 0) if own else (0,)) or answer["left"] or answer["jobs"]:
        return False
    is_known = (answer["state"], answer["result"], answer["starts"]) == ("succeeded", "done", 1)
    if node in KNOWN or (own in EARLY and is_known):
        return is_known
    if node == "runner:prepared":  # never started, and tried again, until the launch is given up
        is_given_up = answer["state"] == "failed" and answer["reason"].startswith("not launched")
        return bool(answer["starts"] == (0 if is_given_up else 1) and (is_given_up or answer["state"] == "succeeded"))
    is_unknown = answer["state"] == "crashed" and answer["reason"].startswith("outcome unknown: ")
    return is_unknown and answer["starts"] in STARTED[node]


def test_the_list_of_crash_points_matches_the_code() -> None:
    path = ROOT / "controller" / "runs" / "executors" / "node" / "runner.py"
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    assert {ast.literal_eval(call.args[0]) for call in calls if ast.unparse(call.func) == "self._reach"} == {*RUNNER}
    assert STARTED.keys() == set(NODE)
