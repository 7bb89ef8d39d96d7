"""Measures how many runs finish per second with different values of `--max-running`, for flows that wait or compute."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.repositories import DOING_NOTHING
from benchmarks.rows import Row, scaled
from benchmarks.runs import finish, measure, start_world

_HEAD = "import time\n\ndef main(region: str, days: int = 1, tables: list[str] | None = None) -> None:\n"
_COMPUTE = "    end = time.process_time() + 0.1\n    while time.process_time() < end:\n        pass\n"
KINDS = (
    ("do nothing", DOING_NOTHING, 100),
    ("wait 1 s", f"{_HEAD}    time.sleep(1)\n", 2),
    ("compute 0.1 s", f"{_HEAD}{_COMPUTE}", 30),
)
"""The flows: what they do, their source, and how many of them run, at least."""
PLACES = (2, 4, 8, 16, 32, 64)
ROUNDS = 3
"""How often each place is used, at least."""


def measure_places(work: Path) -> Iterator[Row]:
    """Run many of each kind of flow with each number of places."""
    work.mkdir(exist_ok=True)
    for places in PLACES:
        for kind, flow, least in KINDS:
            count = scaled(max(least, ROUNDS * places))
            directory = work / f"{places}-{kind.split()[0]}"
            directory.mkdir()
            world = start_world("warm", directory, flow=flow, places=places)
            finish(world, places)
            cpu, wall = measure(world, lambda world=world, count=count: finish(world, count))  # type: ignore[misc]
            world.engine.stop()
            yield Row(what=f"{places} places: flows that {kind}", value=count / wall, unit="runs/s")
            if flow is DOING_NOTHING:
                title = f"{places} places: flows that {kind}, all processes"
                yield Row(what=title, value=cpu / count * 1000, unit="ms CPU")
