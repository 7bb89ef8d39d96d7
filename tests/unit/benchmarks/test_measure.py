"""The cost of a command, measured from outside."""

import sys

import pytest

from benchmarks.measure import cost_of


def test_the_cost_of_a_command_does_not_include_the_memory_of_this_process() -> None:
    ballast = bytearray(200 << 20)
    cost = cost_of([sys.executable, "-c", "pass"], rounds=1)
    assert len(ballast) > cost.memory * (1 << 20) > 1 << 20
    assert cost.cpu > 0
    assert cost.wall > 0


def test_the_cost_of_a_command_includes_its_children() -> None:
    work = "for _ in range(3_000_000): pass"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {work!r}])"
    alone, both = (cost_of([sys.executable, "-c", source], rounds=1) for source in (work, parent))
    assert both.cpu > alone.cpu / 2


def test_an_unexpected_exit_code_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="exited with 3"):
        cost_of([sys.executable, "-c", "raise SystemExit(3)"])
    assert cost_of([sys.executable, "-c", "raise SystemExit(3)"], rounds=1, codes=[3]).cpu > 0
