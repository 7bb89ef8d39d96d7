"""The deployments of `make bench` are valid; otherwise it would wait for runs that never start."""

from pathlib import Path

import pytest

from benchmarks.firing import at
from benchmarks.growth import OFTEN
from benchmarks.repositories import COUNTING, DOING_NOTHING, add_deployment, make_repository
from tests.acceptance.harness import Machine

pytestmark = pytest.mark.acceptance


@pytest.mark.parametrize("flow", [DOING_NOTHING, COUNTING], ids=["doing nothing", "counting"])
def test_the_benchmark_deployments_are_valid(machine: Machine, tmp_path: Path, flow: str) -> None:
    root = make_repository(tmp_path / "r", 3, 'cron: "{minute} {hour} * * *"', flow)
    answer = machine.controller("validate", str(root / "deployments"))
    assert (answer.code, answer.err) == (0, "3 files, 3 valid deployments, 0 errors, 0 warnings\n")


def test_the_deployments_that_are_due_often_or_at_one_instant_are_valid(machine: Machine, tmp_path: Path) -> None:
    root = make_repository(tmp_path / "r", 2, lambda index: f'at: "{at(2_000_000_000.25 + index)}"', COUNTING)
    add_deployment(root, OFTEN)
    answer = machine.controller("validate", str(root / "deployments"))
    assert (answer.code, answer.err) == (0, "2 files, 3 valid deployments, 0 errors, 0 warnings\n")


def test_files_have_several_deployments_where_there_are_more_than_controller_reads_files(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.repositories.MOST_FILES", 2)
    root = make_repository(tmp_path / "r", 5, 'cron: "{minute} {hour} * * *"')
    add_deployment(root, OFTEN)
    answer = machine.controller("validate", str(root / "deployments"))
    assert (answer.code, answer.err) == (0, "2 files, 6 valid deployments, 0 errors, 0 warnings\n")
