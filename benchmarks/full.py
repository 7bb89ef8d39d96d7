"""The full benchmarks: `make bench [SIZES="100 1000"]`. `benchmarks.__main__` prints the rows that they yield."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import browser, quick, web
from benchmarks.controllers import busy_percent, memory_of, running, states, wait_for, wait_for_applied
from benchmarks.firing import measure_herd, start_delays
from benchmarks.history import write_history
from benchmarks.measure import CONTROLLER, cost_of, result_of
from benchmarks.python_environments import measure_environment
from benchmarks.repositories import COUNTING, commit, make_repository
from benchmarks.rows import Row
from controller.client import Client
from controller.settings import default_state_directory

HERD = 1000
NO_OPS = 300
FIRINGS = 20


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


def measure(work: Path, sizes: list[int]) -> Iterator[Row]:
    """Run all benchmarks, and yield each result as soon as it is available."""
    yield from quick.measure(work / "quick")
    yield Row.of_cost("bare: python -c pass", cost_of([sys.executable, "-c", "pass"]))
    for size in sizes:
        root = make_repository(work / str(size), size, 'cron: "{minute} {hour} * * *"')
        if size == sizes[0]:
            file = str(root / "deployments/d00000.yaml")
            yield Row.of_cost("validate, 1 file", cost_of([CONTROLLER, "validate", file]))
        yield Row.of_cost(f"validate, {size} files", cost_of([CONTROLLER, "validate", str(root / "deployments")]))
        yield from peers(root, size)
        once = [CONTROLLER, "run", "--once", "--repo", str(root)]
        yield Row.of_cost(f"first reconcile of {size}, including process start", cost_of(once, rounds=1))
        yield from following(root, size)
    for label, value, unit in measure_environment(work / "python"):
        yield Row(what=label, value=value, unit=unit)
    yield from backfill(work / "backfill")
    yield from measure_herd(work / "herd", HERD)
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
        yield Row.of_cost(f"check-jsonschema, the same {size} files", cost_of(command, rounds=1))


def following(root: Path, size: int) -> Iterator[Row]:
    """Measure the time from a commit that changes one file until it is applied, then the idle controller."""
    with running(root) as process:
        wait_for_applied(root)
        changed = root / "deployments/d00000.yaml"
        changed.write_text(changed.read_text().replace("made-up", "changed"))
        commit(root)
        start = time.perf_counter()
        wait_for_applied(root, 2)
        yield Row(what=f"one file of {size}: commit to applied", value=(time.perf_counter() - start) * 1000, unit="ms")
        yield Row(what=f"idle with {size} deployments", value=busy_percent(process.pid, 10), unit="% core")
        yield Row(what=f"memory with {size} deployments", value=memory_of(process.pid), unit="MiB")


def served(root: Path) -> Iterator[Row]:
    """Measure the API and the dashboard with a long history (DEPLOYMENTS=10000, RUNS=1000000) and many listeners."""
    deployments, runs = int(os.environ.get("DEPLOYMENTS", "10000")), int(os.environ.get("RUNS", "1000000"))
    make_repository(root, deployments, 'cron: "{minute} {hour} 1 1 *"')
    subprocess.run([CONTROLLER, "run", "--once", "--repo", str(root)], check=True, capture_output=True)
    write_history(default_state_directory(root) / "state.db", runs)
    title = f"HTTP, {deployments}/{runs}"
    with running(root) as process:
        wait_for_applied(root, pause_seconds=0.1)
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
        wait_for_applied(root, pause_seconds=0.1)
        client = Client.of_state(default_state_directory(root))
        run_id = client.trigger("d00000")["run_id"]
        client.wait(run_id)
        for label, value, unit in browser.measure_log(web.Server.following(root), run_id):
            yield Row(what=label, value=value, unit=unit)


def backfill(directory: Path) -> Iterator[Row]:
    """Measure a backfill of no-op runs, and its rate relative to that of other runs in the same process."""
    directory.mkdir()
    result = result_of("benchmarks.backfills", HERD, NO_OPS, directory)
    yield Row(what=f"backfill of {HERD} due times: planned, with its runs", value=result["cpu"], unit="ms CPU")
    yield Row(what="the same, statements", value=result["statements"], unit="SQL")
    yield Row(what="the same, rate of its no-op runs", value=result["rate"], unit="runs/s")
    yield Row(what="the same, relative to runs without a backfill", value=result["ratio"] * 100, unit="%")


def skew(root: Path) -> Iterator[Row]:
    """Measure how late a deployment among many fires: until its run is recorded, and until its flow's first line."""
    make_repository(root, HERD, 'cron: "{minute} {hour} 1 1 *"', COUNTING)
    often = "name: often\nflow: flows/noop.py:main\nschedules: [{interval: 2s}]\n"
    (root / "deployments/often.yaml").write_text(often)
    commit(root)
    with running(root):
        wait_for(lambda: states(root).get("succeeded", 0) > FIRINGS, 0.1)
    recorded, printed = start_delays(root)
    for end, delays in (("record", recorded[1:]), ("flow's first line", printed[1:])):
        label, median = f"fire skew with {HERD}, due time to {end}", sorted(delays)[len(delays) // 2]
        yield Row(what=f"{label}, median", value=median * 1e3, unit="ms")
        yield Row(what=f"{label}, worst", value=max(delays) * 1e3, unit="ms")


def tasks() -> Iterator[Row]:
    """Measure the overhead of a small task over a plain call: alone, and reported to a supervisor (here a pipe)."""
    for label, is_reported in (("a task call, without a controller", "0"), ("a task call, reported", "1")):
        command = [sys.executable, "-c", TASKS, is_reported]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        called, submitted = map(float, out.split())
        yield Row(what=f"{label}: overhead", value=called * 1e6, unit="µs")
        yield Row(what=f"{label}, submitted to 8 threads", value=submitted * 1e6, unit="µs")
