"""Measures other tools beside controller, in the same terms: Dagu and Prefect, as `make bench-peers` installs them.

Each tool gets a herd of no-op runs that are due at the same instant. Each run records its own start. All times end
after a deadline, and what has not succeeded by then is counted.
"""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.controllers import running, states, tree_memory, wait_for_applied
from benchmarks.firing import LEAD_SECONDS, at, ended
from benchmarks.measure import CONTROLLER, cost_of
from benchmarks.peer_dagu import PROGRAM as DAGU
from benchmarks.peer_dagu import measure_dagu
from benchmarks.peer_prefect import PROGRAM as PREFECT
from benchmarks.peer_prefect import measure_prefect
from benchmarks.peer_processes import Herd, measure_herd
from benchmarks.repositories import commit, make_repository, started
from benchmarks.rows import Row, scaled

FOLDER = Path(__file__).parents[1] / ".bench-peers"
HERD = 100
PREFECT_HERD = 20
"""Fewer, since each run takes seconds."""
WITHIN = 120.0
# A flow that appends the time to a file next to the repository: one line per start.
RECORDING = """
import os, time

def main(**_: object) -> None:
    descriptor = os.open(%r, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, f"{time.time()}\\n".encode())
    os.close(descriptor)
"""


def measure(work: Path) -> Iterator[Row]:
    """Measure controller, and then each tool that is installed."""
    folder = Path(os.environ.get("BENCH_PEERS", FOLDER))
    yield from measure_controller(work / "controller", scaled(HERD))
    for tool, program, measure_tool, count in (
        ("Dagu", folder / DAGU, measure_dagu, HERD),
        ("Prefect", folder / PREFECT, measure_prefect, PREFECT_HERD),
    ):
        if program.exists():
            yield from measure_tool(program, work / tool, scaled(count))
        else:
            print(f"{tool} is not installed in {folder}", file=sys.stderr)


def measure_controller(root: Path, count: int) -> Iterator[Row]:
    """Measure controller in the same terms: a flow in the foreground without a controller, then a herd."""
    make_repository(root, count, 'cron: "0 0 1 1 *"', RECORDING)
    execute = [CONTROLLER, "execute", "d00000", "--repo", str(root)]
    yield Row.of_cost("controller: one no-op run by a command", cost_of(execute, rounds=5))
    started(root).unlink()
    due = int(time.time()) + LEAD_SECONDS
    for file in (root / "deployments").iterdir():
        file.write_text(file.read_text().replace('cron: "0 0 1 1 *"', f'at: "{at(due)}"'))
    commit(root)

    def ends() -> tuple[int, int]:
        return ended(root), states(root).get("succeeded", 0)

    herd = Herd(count=count, due=due, started=started(root), states=ends, within=due - time.time() + WITHIN)
    with running(root) as process:
        wait_for_applied(root, pause_seconds=0.1)
        yield from measure_herd("controller", herd, [process.pid])
        yield Row(what="controller: memory afterwards", value=tree_memory(process.pid), unit="MiB")
