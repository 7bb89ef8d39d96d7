"""Runs a part of the benchmarks, prints a table, and writes the rows to benchmarks/results.json.

`python -m benchmarks full|quick|growth|peers...` runs these parts. The other parts of the file stay as they are.
"""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import full, quick
from benchmarks.machine import measure_speed
from benchmarks.rows import HEAD, Row, with_speeds

RESULTS = Path(__file__).parent / "results.json"


def sizes(default: str) -> list[int]:
    """Return the numbers of deployments from the variable SIZES."""
    return [int(size) for size in os.environ.get("SIZES", default).split()]


PARTS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "full": lambda work: full.measure(work, sizes("100 1000")),
    "quick": quick.measure,
}


def main(parts: list[str]) -> None:
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
        record(part, rows)


def record(part: str, rows: list[Row]) -> None:
    """Replace one part of the results."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results = results if isinstance(results, dict) else {}
    RESULTS.write_text(json.dumps({**results, part: [row.to_json() for row in rows]}, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
