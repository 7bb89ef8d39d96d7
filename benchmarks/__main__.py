"""`make bench [SIZES="100 1000"]`: prints a table, and writes benchmarks/results.json."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.measure import CONTROLLER, Cost, cost_of
from benchmarks.repositories import commit, make_repository

RESULTS = Path(__file__).parent / "results.json"
HERD = 200
DEADLINE_SECONDS = 120.0
TASKS = """
import os, sys, threading, time, types
from controller import flow, task
if sys.argv[1] == "1":
    mark = sys.modules["_controller_run"] = types.ModuleType("_controller_run")
    read, mark.EVENTS_FD = os.pipe()
    threading.Thread(target=lambda: [None for _ in iter(lambda: os.read(read, 65536), b"")], daemon=True).start()
def plain(x): return x
step = task(plain)
def seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
@flow(concurrency=8)
def main(n):
    for x in range(n): step(x)
@flow(concurrency=8)
def side_by_side(n): step.map(range(n)).result()
N = 1000
base = min(seconds(lambda: [plain(x) for x in range(N)]) for _ in range(5))
called = min(seconds(lambda: main(N)) for _ in range(5))
submitted = min(seconds(lambda: side_by_side(N)) for _ in range(5))
print((called - base) / N, (submitted - base) / N)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured thing. `value` in `unit`; the cost where it is one command."""

    what: str
    value: float
    unit: str
    cost: Cost | None = None


def main() -> None:
    """Measure everything, one after the other."""
    sizes = [int(size) for size in os.environ.get("SIZES", "100 1000").split()]
    rows: list[Row] = []
    work = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        for row in measurements(work, sizes):
            rows.append(row)
            memory = "" if row.cost is None else f"{row.cost.memory:8.0f} MiB"
            print(f"{row.what:58} {row.value:9.1f} {row.unit:8} {memory}", flush=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    RESULTS.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")


def measurements(work: Path, sizes: list[int]) -> Iterator[Row]:
    """Every row, as it is measured."""
    yield command_row("bare: python -c pass", [sys.executable, "-c", "pass"])
    yield command_row("controller --help", [CONTROLLER, "--help"])
    for size in sizes:
        root = make_repository(work / str(size), size, 'cron: "{minute} {hour} * * *"')
        if size == sizes[0]:
            yield command_row("validate, 1 file", [CONTROLLER, "validate", str(root / "deployments/d00000.yaml")])
        yield command_row(f"validate, {size} files", [CONTROLLER, "validate", str(root / "deployments")])
        yield from peers(root, size)
        once = [CONTROLLER, "run", "--once", "--repo", str(root)]
        yield command_row(f"first reconcile of {size}, process included", once, rounds=1)
        yield from following(root, size)
    yield from herd(work / "herd")
    yield from tasks()


def peers(root: Path, size: int) -> Iterator[Row]:
    """The same files through check-jsonschema and our schema, where that is installed."""
    peer = shutil.which("check-jsonschema") or shutil.which("check-jsonschema", path=str(Path(sys.executable).parent))
    if peer is not None:
        schema = str(Path(__file__).parents[1] / "schemas/deployment.v1.schema.json")
        files = [str(file) for file in sorted((root / "deployments").iterdir())]
        command = [peer, "--schemafile", schema, *files]
        yield command_row(f"check-jsonschema, the same {size} files", command, rounds=1)


def command_row(what: str, command: list[str], *, rounds: int = 3) -> Row:
    """A command's CPU."""
    cost = cost_of(command, rounds=rounds)
    return Row(what=what, value=cost.cpu * 1000, unit="ms CPU", cost=cost)


def following(root: Path, size: int) -> Iterator[Row]:
    """A commit that changes one file of many, until it is in force; then the running controller doing nothing."""
    with running(root) as process:
        wait_for(lambda: "Applied" in log_of(root))
        changed = root / "deployments/d00000.yaml"
        changed.write_text(changed.read_text().replace("made-up", "changed"))
        commit(root)
        start = time.perf_counter()
        wait_for(lambda: log_of(root).count("Applied") > 1)
        yield Row(what=f"one file of {size}: commit to in force", value=(time.perf_counter() - start) * 1000, unit="ms")
        before, since = cpu_of(process.pid), time.perf_counter()
        threading.Event().wait(10)
        used = (cpu_of(process.pid) - before) / (time.perf_counter() - since) * 100
        yield Row(what=f"idle with {size} deployments", value=used, unit="% core")
        yield Row(what=f"memory with {size} deployments", value=memory_of(process.pid), unit="MiB")


def herd(root: Path) -> Iterator[Row]:
    """Many no-op flows due at one instant, until the last is done."""
    due = time.time() + 8
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(due))
    make_repository(root, HERD, f'at: "{at}"')
    due = int(due)
    with running(root):
        wait_for(lambda: states(root).get("succeeded", 0) == HERD)
        seconds = time.time() - due
    found = states(root)
    yield Row(what=f"{HERD} no-op runs due at once, cold: all done after", value=seconds, unit="s")
    yield Row(what="the same, as a rate", value=HERD / seconds, unit="runs/s")
    yield Row(what="the same, runs that did not succeed", value=HERD - found.get("succeeded", 0), unit="runs")


def tasks() -> Iterator[Row]:
    """What a small task costs more than a plain call: alone, and told to a supervisor (here a pipe that is read)."""
    for what, told in (("a task call, without a controller", "0"), ("a task call, reported", "1")):
        out = subprocess.run([sys.executable, "-c", TASKS, told], capture_output=True, text=True, check=True).stdout
        called, submitted = map(float, out.split())
        yield Row(what=f"{what}: over a plain call", value=called * 1e6, unit="µs")
        yield Row(what=f"{what}, submitted to 8 threads", value=submitted * 1e6, unit="µs")


@contextmanager
def running(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A controller that follows this repository, its log in a file."""
    with (root.parent / f"{root.name}.log").open("wb") as log:
        process = subprocess.Popen([CONTROLLER, "run", "--repo", str(root)], stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def log_of(root: Path) -> str:
    """What the controller has logged."""
    return (root.parent / f"{root.name}.log").read_text()


def states(root: Path) -> dict[str, int]:
    """How many runs are in each state."""
    database = root / ".controller/state.db"
    if not database.exists():
        return {}
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return dict(connection.execute("SELECT state, count(*) FROM runs GROUP BY state").fetchall())
    except sqlite3.OperationalError:
        return {}
    finally:
        connection.close()


def wait_for(is_true: Callable[[], bool]) -> None:
    """Until it is, looking every few milliseconds."""
    deadline, pause = time.perf_counter() + DEADLINE_SECONDS, threading.Event()
    while not is_true():
        if time.perf_counter() > deadline:
            raise TimeoutError("what was waited for did not happen")
        pause.wait(0.005)


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_of(pid: int) -> float:
    """Resident mebibytes of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main()
