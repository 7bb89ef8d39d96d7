"""The deployments of `make bench` are valid; otherwise it would wait for runs that never start."""

from pathlib import Path

import pytest

from benchmarks.__main__ import COUNTING
from benchmarks.repositories import DOING_NOTHING, make_repository
from tests.acceptance.harness import Machine

pytestmark = pytest.mark.acceptance


@pytest.mark.parametrize("flow", [DOING_NOTHING, COUNTING], ids=["doing nothing", "counting"])
def test_the_benchmark_deployments_are_valid(machine: Machine, tmp_path: Path, flow: str) -> None:
    root = make_repository(tmp_path / "r", 3, 'cron: "{minute} {hour} * * *"', flow)
    answer = machine.controller("validate", str(root / "deployments"))
    assert (answer.code, answer.err) == (0, "3 files, 3 valid deployments, 0 errors, 0 warnings\n")
