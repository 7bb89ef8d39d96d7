"""The rows of the benchmarks: a value, the speed of the machine at that moment, the ratio to it, and the goal."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from benchmarks.machine import CORES, Speed
from benchmarks.measure import Cost

TOGETHER_SECONDS = 0.3
"""Rows that follow each other faster than this come from one measurement, and share its speed."""


def scaled(number: int) -> int:
    """Return a number of runs or deployments. With SCALE=0.01 it is that small, to test the code that measures."""
    return max(int(number * float(os.environ.get("SCALE", "1"))), 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A limit of a value, or of its ratio if `is_ratio`; the value must not be larger, or not smaller if `is_least`."""

    limit: float
    is_ratio: bool = False
    is_least: bool = False

    def is_met(self, value: float, ratio: float | None) -> bool:
        """Return whether a row with this value and ratio meets the goal."""
        number = ratio if self.is_ratio else value
        if number is None:
            raise ValueError("a goal for a ratio needs one")
        return number >= self.limit if self.is_least else number <= self.limit

    def text(self, unit: str) -> str:
        """Return the goal as text, as in `≤ 60 ms CPU`."""
        sign = "≥" if self.is_least else "≤"
        return f"{sign} {self.limit:g} x" if self.is_ratio else f"{sign} {self.limit:g} {unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measurement.

    - `ratio`: how the value compares with `ratio_of`. If neither is given, a CPU time is compared with bare Python, and
      a rate of runs with the rate of bare Pythons that would keep all cores busy.
    - `memory`: the peak memory of a command in MiB.
    """

    what: str
    value: float
    unit: str
    ratio: float | None = None
    ratio_of: str | None = None
    goal: Goal | None = None
    memory: float | None = None
    speed: Speed | None = None

    @classmethod
    def of_cost(cls, what: str, cost: Cost, goal: Goal | None = None) -> "Row":
        """Return the row of a command, with its CPU time and its peak memory."""
        return cls(what=what, value=cost.cpu * 1000, unit="ms CPU", goal=goal, memory=cost.memory)

    def with_speed(self, speed: Speed) -> "Row":
        """Return the row with the speed of the machine, and with the ratio to it if the row has none."""
        ratio, ratio_of = self.ratio, self.ratio_of
        if ratio is None and self.unit == "ms CPU":
            ratio, ratio_of = self.value / speed.python, "bare Python"
        elif ratio is None and self.unit == "runs/s":
            ratio, ratio_of = self.value * speed.python / 1000 / CORES, "bare Pythons on all cores"
        return replace(self, ratio=ratio, ratio_of=ratio_of, speed=speed)

    @property
    def is_met(self) -> bool | None:
        """Whether the row meets its goal; None without one."""
        return None if self.goal is None else self.goal.is_met(self.value, self.ratio)

    def to_json(self) -> dict[str, Any]:
        """Return the row as a JSON object, with its goal as text and whether it is met."""
        goal = None if self.goal is None else self.goal.text(self.unit)
        return {**asdict(self), "goal": goal, "is_met": self.is_met}

    def to_line(self) -> str:
        """Return the row as a line of the table on the terminal."""
        assert self.speed is not None
        ratio = "" if self.ratio is None else f"{self.ratio:7.2f} x"
        verdict = {None: "", True: "met", False: "MISSED"}[self.is_met]
        goal = "" if self.goal is None else self.goal.text(self.unit)
        memory = "" if self.memory is None else f"{self.memory:.0f} MiB"
        return (
            f"{self.what:62} {self.value:9.1f} {self.unit:8} {ratio:9} {goal:16} {verdict:6} {memory:8} "
            f"{self.speed.python:6.1f} {self.speed.fsync:6.2f} {self.speed.fork:5.2f}"
        ).rstrip()


HEAD = (
    f"{'what':62} {'value':>9} {'unit':8} {'ratio':>9} {'goal':16} {'':6} {'memory':8} "
    f"{'python':>6} {'fsync':>6} {'fork':>5}"
)


def with_speeds(rows: Iterable[Row], measure_speed: Callable[[], Speed]) -> Iterator[Row]:
    """Yield each row with the mean of the speeds of the machine before and after its measurement."""
    before = shared = measure_speed()
    since = time.perf_counter()
    for row in rows:
        if time.perf_counter() - since > TOGETHER_SECONDS:
            after = measure_speed()
            before, shared = after, before.between(after)
        yield row.with_speed(shared)
        since = time.perf_counter()
