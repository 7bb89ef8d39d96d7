"""Runs a part of the benchmarks, prints a table, and writes the rows to benchmarks/results.json.

`python -m benchmarks full|quick|growth|databases|peers|places...` runs these parts. The others stay as they are.
"""

import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import bookkeeping, full, growth, peers, places, quick
from benchmarks.machine import CORES, measure_speed
from benchmarks.page import RESULTS, to_text
from benchmarks.rows import HEAD, Row, with_speeds


def sizes(default: str) -> list[int]:
    """Return the numbers of deployments from the variable SIZES."""
    return [int(size) for size in os.environ.get("SIZES", default).split()]


PARTS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "full": lambda work: full.measure(work, sizes("100 1000")),
    "quick": quick.measure,
    "growth": lambda work: growth.measure_sizes(work, sizes("10 100 1000 10000 100000")),
    "databases": bookkeeping.measure,
    "peers": peers.measure,
    "places": places.measure_places,
}


def main(parts: list[str]) -> None:
    """Run these parts. SIGTERM ends them as Ctrl-C does: what they have started is stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    run(parts)


def run(parts: list[str]) -> None:
    """Run these parts in sequence."""
    for part in parts:
        work = Path(tempfile.mkdtemp(prefix="bench-"))
        rows: list[Row] = []
        print(HEAD, flush=True)
        try:
            for row in with_speeds(PARTS[part](work), measure_speed):
                rows.append(row)
                print(row.to_line(), flush=True)
        finally:
            shutil.rmtree(work, ignore_errors=True)
            record(part, rows)  # also what was measured before an error


def record(part: str, rows: list[Row]) -> None:
    """Replace one part of the results."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results[part] = {
        "date": time.strftime("%Y-%m-%d"),
        "cores": CORES,
        "python": platform.python_version(),
        "rows": [row.to_json() for row in rows],
    }
    RESULTS.write_text(to_text(results))


if __name__ == "__main__":
    main(sys.argv[1:])
