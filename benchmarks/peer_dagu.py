"""Measures Dagu: `dagu start` of one step, and a herd that its scheduler starts. Used by `peers` only."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.controllers import tree_memory
from benchmarks.measure import cost_of
from benchmarks.peer_processes import RECORDING, Herd, measure_herd, process
from benchmarks.rows import Row

PROGRAM = "dagu/node_modules/@dagu-org/dagu-linux-x64/bin/dagu"
START_SECONDS = 20
WITHIN = 180.0
_FINISHED = {2, 3, 4, 6}
"""Dagu's numbers for failed, cancelled, succeeded and partly succeeded runs."""
_SUCCEEDED = 4
_DAG = """\
{schedule}steps:
  - name: one
    command: {command}
"""


def measure_dagu(program: Path, work: Path, count: int) -> Iterator[Row]:
    """Measure it."""
    work.mkdir()
    home, dags = work / "home", work / "dags"
    dags.mkdir()
    single = work / "noop.yaml"
    single.write_text(_DAG.format(schedule="", command=f"{sys.executable} -c pass"))
    environment = {"DAGU_HOME": str(home), "DAGU_PORT": "0"}
    command = [str(program), "start", "--quiet", f"--dagu-home={work / 'single'}", str(single)]
    yield Row.of_cost("Dagu: one no-op run by a command", cost_of(command, rounds=5))

    due = (int(time.time() + START_SECONDS) // 60 + 1) * 60
    local, started, script = time.localtime(due), work / "started", work / "record.py"
    script.write_text(RECORDING)
    schedule = f'schedule: "{local.tm_min} {local.tm_hour} * * *"\n'
    for number in range(count):
        recording = f"{sys.executable} {script} {started}"
        (dags / f"d{number:05}.yaml").write_text(_DAG.format(schedule=schedule, command=recording))
    scheduler = [str(program), "scheduler", f"--dagu-home={home}", f"--dags={dags}"]
    herd = Herd(count=count, due=due, started=started, states=lambda: _states(home), within=due - time.time() + WITHIN)
    with process(scheduler, environment, work / "log") as pid:
        yield from measure_herd("Dagu", herd, [pid])
        yield Row(what="Dagu: memory afterwards", value=tree_memory(pid), unit="MiB")


def _states(home: Path) -> tuple[int, int]:
    """Return the number of runs that have ended, and of those that have succeeded, from the end of each record."""
    ends = []
    for record in home.glob("data/dag-runs/*/**/status.jsonl"):
        lines = record.read_text().splitlines()
        if lines:
            ends.append(json.loads(lines[-1])["status"])
    return sum(end in _FINISHED for end in ends), ends.count(_SUCCEEDED)
