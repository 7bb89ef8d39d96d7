"""Starts controllers for the benchmarks, and reads what they cost: CPU and memory of their processes, their records."""

import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measure import CONTROLLER
from controller.settings import default_state_directory

DEADLINE_SECONDS = 300.0
_TICKS = os.sysconf("SC_CLK_TCK")
_CPU_CLOCK = 2


@contextmanager
def running(root: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a controller that follows this repository, with its log in a file."""
    command = [CONTROLLER, "run", "--listen", "127.0.0.1:0", "--repo", str(root), *options]
    with (root.parent / f"{root.name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def log_of(root: Path) -> str:
    """Return the log of the controller that was started last."""
    return (root.parent / f"{root.name}.log").read_text()


def wait_for_applied(root: Path, count: int = 1, pause_seconds: float = 0.005) -> None:
    """Wait until the controller that was started last has logged this many applied revisions."""
    wait_for(lambda: log_of(root).count("Applied") >= count, pause_seconds)


def query(root: Path, statement: str) -> list[tuple[object, ...]]:
    """Return the rows of a SELECT in the state database; nothing while there is no database or table."""
    database = default_state_directory(root) / "state.db"
    if not database.exists():
        return []
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            return connection.execute(statement).fetchall()
    except sqlite3.OperationalError:
        return []


def states(root: Path) -> dict[str, int]:
    """Return the number of runs by state."""
    return {str(state): int(str(count)) for state, count in query(root, "SELECT state, count(*) FROM runs GROUP BY 1")}


def wait_for(is_true: Callable[[], bool], pause_seconds: float = 0.005, within: float = DEADLINE_SECONDS) -> None:
    """Wait until `is_true` returns True. Use a longer pause between the calls if the check is costly."""
    deadline, pause = time.perf_counter() + within, threading.Event()
    while not is_true():
        if time.perf_counter() > deadline:
            raise TimeoutError(f"the condition did not become true within {within:.0f} seconds")
        pause.wait(pause_seconds)


def instant(text: object) -> float:
    """Convert an instant from the state database to seconds since 1970."""
    return datetime.fromisoformat(str(text)).replace(tzinfo=UTC).timestamp()


def cpu_of(pid: int) -> float:
    """Return the CPU time of a process in seconds, without its children, to the nanosecond.

    Its clock has a number that depends on its id, see clock_getcpuclockid(3). /proc counts in steps of 10 ms.
    """
    return time.clock_gettime((~pid << 3) | _CPU_CLOCK)


def cpu_with_children(pid: int) -> float:
    """Return the CPU time in seconds of a process and of all children that it has waited for."""
    return sum(map(int, _stat(pid)[11:15])) / _TICKS


def tree_cpu(pid: int) -> float:
    """Return the CPU time in seconds of a process, its descendants, and all children that these have waited for."""
    seconds = 0.0
    for one in (pid, *descendants(pid)):
        try:
            seconds += cpu_with_children(one)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended, and its parent has its time
    return seconds


def descendants(pid: int) -> list[int]:
    """Return the ids of the children of a process, of their children, and so on."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                children.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
    found, waiting = [], [pid]
    while waiting:
        new = children.get(waiting.pop(), [])
        found += new
        waiting += new
    return found


def busy_percent(pid: int, seconds: float) -> float:
    """Return the CPU time of a process in the next seconds, without its children, in percent of a core."""
    before, since = cpu_of(pid), time.perf_counter()
    threading.Event().wait(seconds)
    return (cpu_of(pid) - before) / (time.perf_counter() - since) * 100


def memory_of(pid: int) -> float:
    """Return the resident memory of a process in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def tree_memory(pid: int) -> float:
    """Return the memory in MiB of a process and its descendants. Shared memory counts once."""
    total = 0
    for one in (pid, *descendants(pid)):
        try:
            text = Path(f"/proc/{one}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += int(text.partition("\nPss:")[2].split()[0])
    return total / 1024


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the name: the state is the first one, see proc(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
