"""Rows of the benchmarks: their ratios, their goals, and the speed of the machine beside them."""

import json
import os
import subprocess
import sys

import pytest

from benchmarks.controllers import descendants, tree_cpu
from benchmarks.firing import at
from benchmarks.machine import CORES, Speed, measure_speed
from benchmarks.rows import Goal, Row, with_speeds

SPEED = Speed(python=10.0, fork=1.0, fsync=2.0)


def test_a_cpu_time_is_compared_with_bare_python() -> None:
    row = Row(what="a run", value=15.0, unit="ms CPU").with_speed(SPEED)
    assert (row.ratio, row.ratio_of) == (1.5, "bare Python")


def test_a_rate_is_compared_with_bare_pythons_on_all_cores() -> None:
    row = Row(what="runs", value=50.0 * CORES, unit="runs/s").with_speed(SPEED)
    assert (row.ratio, row.ratio_of) == (0.5, "bare Pythons on all cores")


def test_a_ratio_of_the_row_itself_is_kept() -> None:
    row = Row(what="a run", value=15.0, unit="ms CPU", ratio=1.1, ratio_of="python flow.py").with_speed(SPEED)
    assert (row.ratio, row.ratio_of) == (1.1, "python flow.py")


@pytest.mark.parametrize(
    ("goal", "is_met", "text"),
    [
        (Goal(limit=15), True, "≤ 15 ms CPU"),
        (Goal(limit=14.9), False, "≤ 14.9 ms CPU"),
        (Goal(limit=1.5, is_ratio=True), True, "≤ 1.5 x"),
        (Goal(limit=1, is_ratio=True), False, "≤ 1 x"),
        (Goal(limit=1.6, is_ratio=True, is_least=True), False, "≥ 1.6 x"),
        (Goal(limit=15, is_least=True), True, "≥ 15 ms CPU"),
    ],
)
def test_a_row_meets_its_goal_or_not(goal: Goal, is_met: bool, text: str) -> None:
    row = Row(what="a run", value=15.0, unit="ms CPU", goal=goal).with_speed(SPEED)
    assert (row.is_met, row.to_json()["is_met"], row.to_json()["goal"]) == (is_met, is_met, text)
    assert ("MISSED" in row.to_line()) is not is_met


def test_a_row_without_a_goal_is_neither_met_nor_missed() -> None:
    row = Row(what="memory", value=60.0, unit="MiB").with_speed(SPEED)
    assert (row.is_met, row.ratio, row.to_json()["goal"]) == (None, None, None)
    assert "met" not in row.to_line()


def test_a_goal_for_a_ratio_needs_one() -> None:
    with pytest.raises(ValueError, match="needs one"):
        _ = Row(what="memory", value=60.0, unit="MiB", goal=Goal(limit=1, is_ratio=True)).is_met


def test_rows_of_one_measurement_share_the_speeds_before_and_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([0.0, 9.0, 9.0, 9.1, 9.1, 20.0, 20.0])
    monkeypatch.setattr("benchmarks.rows.time.perf_counter", lambda: next(moments))
    speeds = iter([SPEED, Speed(python=20.0, fork=1.0, fsync=2.0), Speed(python=40.0, fork=1.0, fsync=2.0)])
    rows = with_speeds((Row(what=name, value=1, unit="s") for name in "abc"), lambda: next(speeds))
    assert [row.speed and row.speed.python for row in rows] == [15.0, 15.0, 30.0]


def test_the_speed_of_the_machine_is_measured() -> None:
    speed = measure_speed()
    assert min(speed.python, speed.fork, speed.fsync) > 0
    assert json.loads(json.dumps(Row(what="a", value=1, unit="s").with_speed(speed).to_json()))["speed"]["python"] > 0


def test_the_cpu_time_of_a_process_includes_its_children_and_theirs() -> None:
    work = "for _ in range(3_000_000): pass"
    inner = f"{work}\nprint('done', flush=True)\ninput()"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", outer], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        (child,) = descendants(process.pid)
        assert process.pid in descendants(os.getpid())
        assert tree_cpu(process.pid) >= tree_cpu(child) > 0
        process.communicate("\n")


def test_an_instant_is_written_to_the_millisecond() -> None:
    assert at(1_700_000_000.25) == "2023-11-14T22:13:20.250Z"
