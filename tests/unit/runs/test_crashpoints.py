"""Controller and supervisor die at every pair of points: never two starts, always an outcome, no process remains."""

import ast
from pathlib import Path
from typing import Any

import pytest

from controller.crashpoints import CONTROLLER, SUPERVISOR
from tests.thoroughness import THOROUGH
from tests.unit.runs.crash_pairs import ROOT, check_answers

pytestmark = pytest.mark.integration

PAIRS = [
    [*([controller] if controller else []), *([f"supervisor:{supervisor}"] if supervisor else [])]
    for controller in ("", *CONTROLLER)
    for supervisor in ("", *SUPERVISOR)
]


SHARES = 4 if THOROUGH else 2
# A thorough run tries all pairs; others try each point alone, and every third pair.
if not THOROUGH:
    PAIRS = [pair for number, pair in enumerate(PAIRS) if len(pair) < 2 or number % 3 == 0]


@pytest.mark.parametrize("share", range(SHARES))
def test_killing_controller_and_supervisor_anywhere_starts_a_flow_at_most_once(tmp_path: Path, share: int) -> None:
    pairs = [pair or ["none"] for pair in PAIRS[share::SHARES]]
    check_answers("tests.unit.runs.crashing", tmp_path, pairs, is_right, timeout=300)


def is_right(answer: dict[str, Any]) -> bool:
    """The invariants, and what follows from the points for certain."""
    controller = [point for point in answer["points"] if not point.startswith("supervisor:") and point != "none"]
    supervisor = [point for point in answer["points"] if point.startswith("supervisor:")]
    first, second = answer["ends"]
    if second != 0 or answer["starts"] > 1 or answer["left"]:
        return False
    if first != (-9 if controller and is_reached(controller[0], supervisor) else 0):
        return False
    if answer["state"] == "succeeded":
        return bool(answer["starts"] == 1 and answer["result"] == "done")
    # Only who lost a supervisor has another end, and then it is never called the flow's own.
    is_unknown = answer["state"] == "crashed" or str(answer["reason"]).startswith("not launched")
    return bool(supervisor) and is_unknown


def is_reached(controller: str, supervisor: list[str]) -> bool:
    """Whether the controller reaches its point at all: GO needs a supervisor."""
    if supervisor != ["supervisor:locked"]:
        return True
    return controller not in ("heard", "running", "gone")


def test_the_list_of_crash_points_matches_the_code() -> None:
    found: dict[bool, set[str]] = {True: set(), False: set()}
    for path in (ROOT / "controller" / "runs").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("reach", "crashpoints.reach"):
                [name, *_] = node.args
                assert isinstance(name, ast.Constant)
                found["supervisor" in path.parts].add(str(name.value))
    assert found == {True: set(SUPERVISOR), False: set(CONTROLLER)}
