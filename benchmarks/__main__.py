"""Runs all benchmarks (`make bench [SIZES="100 1000"]`), prints a table and writes benchmarks/results.json."""

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
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import browser, web
from benchmarks.history import write_history
from benchmarks.measure import CONTROLLER, Cost, cost_of
from benchmarks.python_environments import measure_environment
from benchmarks.repositories import commit, make_repository, started
from controller.client import Client
from controller.settings import default_state_directory

RESULTS = Path(__file__).parent / "results.json"
HERD = 1000
NO_OPS = 300
FIRINGS = 20
DEADLINE_SECONDS = 300.0


# A flow that appends its run id and the time to a file next to the repository: one line per start.
COUNTING = """
import os, time

def main(region: str = "eu", days: int = 1, tables: list[str] | None = None) -> None:
    line = f"{os.environ['CONTROLLER_RUN_ID']}={time.time()}\\n"
    descriptor = os.open(%r, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, line.encode())
    os.close(descriptor)
"""
PRINTING = f"""
def main(**_: object) -> None:
    for number in range({browser.LOG_LINES}):
        print("line", number, "of many")
"""
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
    """One measurement: its label, a value with its unit, and the cost if it is that of a single command."""

    what: str
    value: float
    unit: str
    cost: Cost | None = None


def main() -> None:
    """Run all benchmarks in sequence."""
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
    """Run all benchmarks, and yield each result as soon as it is available."""
    yield command_row("bare: python -c pass", [sys.executable, "-c", "pass"])
    yield command_row("controller --help", [CONTROLLER, "--help"])
    for size in sizes:
        root = make_repository(work / str(size), size, 'cron: "{minute} {hour} * * *"')
        if size == sizes[0]:
            yield command_row("validate, 1 file", [CONTROLLER, "validate", str(root / "deployments/d00000.yaml")])
        yield command_row(f"validate, {size} files", [CONTROLLER, "validate", str(root / "deployments")])
        yield from peers(root, size)
        once = [CONTROLLER, "run", "--once", "--repo", str(root)]
        yield command_row(f"first reconcile of {size}, including process start", once, rounds=1)
        yield from following(root, size)
    yield from no_op_runs(work)
    for label, value, unit in measure_environment(work / "python"):
        yield Row(what=label, value=value, unit=unit)
    yield from backfill(work / "backfill")
    yield from herd(work / "herd")
    yield from tasks()
    yield from skew(work / "skew")
    yield from long_log(work / "log")
    yield from served(work / "served")


def peers(root: Path, size: int) -> Iterator[Row]:
    """Validate the same files with check-jsonschema and our schema, if it is installed."""
    peer = shutil.which("check-jsonschema") or shutil.which("check-jsonschema", path=str(Path(sys.executable).parent))
    if peer is not None:
        schema = str(Path(__file__).parents[1] / "schemas/deployment.v1.schema.json")
        files = [str(file) for file in sorted((root / "deployments").iterdir())]
        command = [peer, "--schemafile", schema, *files]
        yield command_row(f"check-jsonschema, the same {size} files", command, rounds=1)


def command_row(label: str, command: list[str], *, rounds: int = 3) -> Row:
    """Measure the CPU time of a command."""
    cost = cost_of(command, rounds=rounds)
    return Row(what=label, value=cost.cpu * 1000, unit="ms CPU", cost=cost)


def following(root: Path, size: int) -> Iterator[Row]:
    """Measure the time from a commit that changes one file until it is applied, then the idle controller."""
    with running(root) as process:
        wait_for(lambda: "Applied" in log_of(root))
        changed = root / "deployments/d00000.yaml"
        changed.write_text(changed.read_text().replace("made-up", "changed"))
        commit(root)
        start = time.perf_counter()
        wait_for(lambda: log_of(root).count("Applied") > 1)
        yield Row(what=f"one file of {size}: commit to applied", value=(time.perf_counter() - start) * 1000, unit="ms")
        before, since = cpu_of(process.pid), time.perf_counter()
        threading.Event().wait(10)
        used = (cpu_of(process.pid) - before) / (time.perf_counter() - since) * 100
        yield Row(what=f"idle with {size} deployments", value=used, unit="% core")
        yield Row(what=f"memory with {size} deployments", value=memory_of(process.pid), unit="MiB")


def served(root: Path) -> Iterator[Row]:
    """Measure the API and the dashboard with a long history (DEPLOYMENTS=10000, RUNS=1000000) and many listeners."""
    deployments, runs = int(os.environ.get("DEPLOYMENTS", "10000")), int(os.environ.get("RUNS", "1000000"))
    make_repository(root, deployments, 'cron: "{minute} {hour} 1 1 *"')
    subprocess.run([CONTROLLER, "run", "--once", "--repo", str(root)], check=True, capture_output=True)
    write_history(default_state_directory(root) / "state.db", runs)
    title = f"HTTP, {deployments}/{runs}"
    with running(root) as process:
        wait_for(lambda: "Applied" in log_of(root), 0.1)
        yield Row(what=f"{title}: memory before the first request", value=memory_of(process.pid), unit="MiB")
        server = web.Server.following(root)
        for label, milliseconds in (*web.measure_responses(server), *web.measure_listeners(server)):
            yield Row(what=f"{title}: {label}", value=milliseconds, unit="ms")
        for label, value, unit in browser.measure_pages(server):
            yield Row(what=f"{title}: {label}", value=value, unit=unit)
        yield Row(what=f"{title}: memory", value=memory_of(process.pid), unit="MiB")


def long_log(root: Path) -> Iterator[Row]:
    """Measure how the dashboard opens the log of a run that printed many lines."""
    make_repository(root, 1, 'cron: "0 0 1 1 *"', PRINTING)
    with running(root):
        wait_for(lambda: "Applied" in log_of(root), 0.1)
        client = Client.of_state(default_state_directory(root))
        run_id = client.trigger("d00000")["run_id"]
        client.wait(run_id)
        for label, value, unit in browser.measure_log(web.Server.following(root), run_id):
            yield Row(what=label, value=value, unit=unit)


def no_op_runs(work: Path) -> Iterator[Row]:
    """Measure a flow that does nothing, in all processes, with the fork server (warm) and without it (cold)."""
    for kind in ("warm", "cold"):
        directory = work / kind
        directory.mkdir()
        command = [sys.executable, "-m", "benchmarks.runs", kind, str(NO_OPS), str(directory)]
        done = subprocess.run(command, capture_output=True, check=True, cwd=Path(__file__).parents[1])
        result = json.loads(done.stdout)
        yield Row(what=f"one no-op run, {kind}, all processes", value=result["cpu"], unit="ms CPU")
        yield Row(what=f"no-op runs, {kind}, rate", value=result["rate"], unit="runs/s")


def backfill(directory: Path) -> Iterator[Row]:
    """Measure a backfill of no-op runs, and its rate relative to that of other runs in the same process."""
    directory.mkdir()
    command = [sys.executable, "-m", "benchmarks.backfills", str(HERD), str(NO_OPS), str(directory)]
    done = subprocess.run(command, capture_output=True, check=True, cwd=Path(__file__).parents[1])
    result = json.loads(done.stdout)
    yield Row(what=f"backfill of {HERD} due times: planned, with its runs", value=result["cpu"], unit="ms CPU")
    yield Row(what="the same, statements", value=result["statements"], unit="SQL")
    yield Row(what="the same, rate of its no-op runs", value=result["rate"], unit="runs/s")
    yield Row(what="the same, relative to runs without a backfill", value=result["ratio"] * 100, unit="%")


def herd(root: Path) -> Iterator[Row]:
    """Measure many no-op flows that are due at the same instant, until the last one has finished.

    Each flow records its own start, so that missing and repeated starts are counted.
    """
    due = int(time.time()) + 12
    make_repository(root, HERD, f'at: "{time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(due))}"', COUNTING)
    with running(root):
        wait_for(lambda: sum(states(root).get(state, 0) for state in ("succeeded", "failed", "crashed")) == HERD, 0.1)
        seconds = time.time() - due
    counts = states(root)
    starts = [line.partition("=")[0] for line in started(root).read_text().split()]
    yield Row(what=f"{HERD} no-op runs due at once: time until all finished", value=seconds, unit="s")
    yield Row(what="the same, rate", value=HERD / seconds, unit="runs/s")
    yield Row(what="the same, runs that did not succeed", value=HERD - counts.get("succeeded", 0), unit="runs")
    yield Row(
        what="the same, missing or repeated starts",
        value=abs(HERD - len(starts)) + len(starts) - len(set(starts)),
        unit="starts",
    )


def skew(root: Path) -> Iterator[Row]:
    """Measure how late a deployment among many fires: until its run is recorded, and until its flow's first line."""
    make_repository(root, HERD, 'cron: "{minute} {hour} 1 1 *"', COUNTING)
    often = "name: often\nflow: flows/noop.py:main\nschedules: [{interval: 2s}]\n"
    (root / "deployments/often.yaml").write_text(often)
    commit(root)
    with running(root):
        wait_for(lambda: states(root).get("succeeded", 0) > FIRINGS, 0.1)
    select = "SELECT id, scheduled_for, created_at FROM runs WHERE state = 'succeeded' ORDER BY id LIMIT -1 OFFSET 1"
    with closing(sqlite3.connect(f"file:{default_state_directory(root) / 'state.db'}?mode=ro", uri=True)) as connection:
        runs = connection.execute(select).fetchall()
    first = dict(line.split("=") for line in started(root).read_text().split())
    recorded = [seconds(created) - seconds(due) for _, due, created in runs]
    printed = [float(first[run_id]) - seconds(due) for run_id, due, _ in runs]
    for end, delays in (("record", recorded), ("flow's first line", printed)):
        label, median = f"fire skew with {HERD}, due time to {end}", sorted(delays)[len(delays) // 2]
        yield Row(what=f"{label}, median", value=median * 1e3, unit="ms")
        yield Row(what=f"{label}, worst", value=max(delays) * 1e3, unit="ms")


def seconds(text: str) -> float:
    """Convert an instant from the state database to seconds since 1970."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def tasks() -> Iterator[Row]:
    """Measure the overhead of a small task over a plain call: alone, and reported to a supervisor (here a pipe)."""
    for label, is_reported in (("a task call, without a controller", "0"), ("a task call, reported", "1")):
        command = [sys.executable, "-c", TASKS, is_reported]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        called, submitted = map(float, out.split())
        yield Row(what=f"{label}: overhead", value=called * 1e6, unit="µs")
        yield Row(what=f"{label}, submitted to 8 threads", value=submitted * 1e6, unit="µs")


@contextmanager
def running(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a controller that follows this repository, with its log in a file."""
    with (root.parent / f"{root.name}.log").open("wb") as log:
        process = subprocess.Popen(
            [CONTROLLER, "run", "--listen", "127.0.0.1:0", "--repo", str(root)], stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def log_of(root: Path) -> str:
    """Return the controller's log so far."""
    return (root.parent / f"{root.name}.log").read_text()


def states(root: Path) -> dict[str, int]:
    """Return the number of runs by state."""
    database = default_state_directory(root) / "state.db"
    if not database.exists():
        return {}
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return dict(connection.execute("SELECT state, count(*) FROM runs GROUP BY state").fetchall())
    except sqlite3.OperationalError:
        return {}
    finally:
        connection.close()


def wait_for(is_true: Callable[[], bool], pause_seconds: float = 0.005) -> None:
    """Wait until `is_true` returns True. Use a longer pause between the calls if the check is costly."""
    deadline, pause = time.perf_counter() + DEADLINE_SECONDS, threading.Event()
    while not is_true():
        if time.perf_counter() > deadline:
            raise TimeoutError(f"the condition did not become true within {DEADLINE_SECONDS:.0f} seconds")
        pause.wait(pause_seconds)


def cpu_of(pid: int) -> float:
    """Return the CPU time of a process in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_of(pid: int) -> float:
    """Return the resident memory of a process in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main()
