"""The process beside one flow: starts it, ends it on time, and writes down how it ended. Stands alone.

Started by `controller.runs.launcher` as `python -I -S supervisor.py RUN_DIRECTORY`, in a session of its own, so that
it outlives the controller. It imports nothing of ours, nothing after READY (an upgrade may replace files under it), and
knows neither database nor network. The order of what it writes is the protocol of docs/runs.md:

    lock, held for life -> READY on stdout -> GO on stdin -> `started`, durable -> the flow -> `exit`, durable

End of file instead of GO means that nothing ran. Whoever finds the lock free and neither mark knows the same.
"""

import errno
import fcntl
import json
import os
import re
import select
import signal
import sys
import time
from typing import Any

CALL_FD = 3
EVENTS_FD = 4
MAX_EVENT_BYTES = 1 << 16
MAX_DEPTH = 64
DRAIN_SECONDS = 2.0


def main(directory: str) -> int:
    """Supervise the run described by `run.json` in this directory. Returns the exit code."""
    os.chdir(directory)
    with open("run.json", encoding="utf-8") as stream:  # noqa: PTH123
        spec = json.load(stream)
    lock = os.open("lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return 3
    os.ftruncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())
    wake, asked = _catch_sigterm()
    os.write(1, b"READY\n")
    if os.read(0, 3) != b"GO\n":
        return 0
    started_at = time.time()
    mark("started", {"nonce": spec["nonce"], "at": started_at})
    try:
        flow = Flow(spec)
    except OSError as error:
        reason = f"could not be started: {error.strerror}: {error.filename or spec['argv'][0]}"
        ending: dict[str, Any] = {"outcome": "failed", "reason": reason}
    else:
        ending = flow.attend(wake, asked)
    remove_tree("tmp")
    mark("exit", {"nonce": spec["nonce"], "started_at": started_at, "finished_at": time.time(), **ending})
    return 0


def mark(name: str, content: dict[str, Any]) -> None:
    """Write a file that is there whole or not at all, and stays: temp, fsync, rename, fsync of the directory."""
    descriptor = os.open(f"{name}.tmp", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    os.write(descriptor, json.dumps(content).encode())
    os.fsync(descriptor)
    os.close(descriptor)
    os.rename(f"{name}.tmp", name)  # noqa: PTH104
    directory = os.open(".", os.O_RDONLY | os.O_CLOEXEC)
    os.fsync(directory)
    os.close(directory)


class Flow:
    """The flow's process, from its start to the end of its process group."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._deadline = None if spec["timeout"] is None else time.monotonic() + spec["timeout"]
        self._grace = spec["grace"]
        self._events, child_events = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.pid = _spawn(spec, child_events)
        os.close(child_events)
        self._handle = os.pidfd_open(self.pid)
        self._stopped_for: str | None = None
        self._received = b""

    def attend(self, wake: int, asked: list[int]) -> dict[str, Any]:
        """Wait for the main process to end; on timeout or when asked, end it. Returns what `exit` will say."""
        poll = select.poll()
        for descriptor in (self._handle, self._events, wake):
            poll.register(descriptor, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll(self._milliseconds_left())}
            if wake in ready:
                os.read(wake, 64)
            if self._events in ready and not self._receive():
                poll.unregister(self._events)
            if self._handle in ready:
                break
            if asked and self._stopped_for is None:
                self._stop("cancelled")
            elif self._deadline is not None and time.monotonic() >= self._deadline:
                self._stop("timed_out")
        return self._ending()

    def _milliseconds_left(self) -> int | None:
        return None if self._deadline is None else max(0, int((self._deadline - time.monotonic()) * 1000) + 1)

    def _stop(self, outcome: str) -> None:
        """First SIGTERM and a grace, then SIGKILL, to the whole group."""
        first = self._stopped_for is None
        self._stopped_for = self._stopped_for or outcome
        self._kill(signal.SIGTERM if first else signal.SIGKILL)
        self._deadline = time.monotonic() + (self._grace if first else DRAIN_SECONDS)

    def _kill(self, number: int) -> None:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return

    def _receive(self) -> bool:
        """Take what the flow reported; False at its end."""
        try:
            data = os.read(self._events, MAX_EVENT_BYTES)
        except BlockingIOError:
            return True
        if len(self._received) < 4 * MAX_EVENT_BYTES:
            self._received += data
        return bool(data)

    def _ending(self) -> dict[str, Any]:
        # The run ends with its main process: what that left behind in its group goes with it.
        self._kill(signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        deadline = time.monotonic() + DRAIN_SECONDS
        while select.select([self._events], [], [], max(0.0, deadline - time.monotonic()))[0] and self._receive():
            pass
        ending: dict[str, Any] = {
            "outcome": self._stopped_for or ("succeeded" if status == 0 else "failed"),
            "exit_code": status if status >= 0 else None,
            "signal": -status if status < 0 else None,
        }
        for line in self._received.split(b"\n"):
            if depth(line) > MAX_DEPTH:
                continue  # whoever reads `exit` would run out of stack
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict) and event.keys() <= {"result", "error"}:
                ending.update(event)
        return ending


def depth(line: bytes) -> int:
    """How many brackets of this JSON are open at once, at most."""
    level = deepest = 0
    for char in re.sub(rb'"(?:[^"\\]|\\.)*"', b"", line):
        level += (char in b"[{") - (char in b"]}")
        deepest = max(deepest, level)
    return deepest


def _catch_sigterm() -> tuple[int, list[int]]:
    """A descriptor that becomes readable on SIGTERM, and the list that then holds the signal's number."""
    asked: list[int] = []
    wake, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.signal(signal.SIGTERM, lambda number, _frame: asked.append(number))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    return wake, asked


def _spawn(spec: dict[str, Any], events: int) -> int:
    """Fork and execute; raises the child's OSError if it could not be executed."""
    call = os.open("call.json", os.O_RDONLY | os.O_CLOEXEC)
    log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    failure, report = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            _become(spec, {0: null, 1: log, 2: log, CALL_FD: call, EVENTS_FD: events})
        except OSError as error:
            os.write(report, f"{error.errno} {error.filename or ''}".encode())
        finally:
            os._exit(127)
    for descriptor in (call, log, null, report):
        os.close(descriptor)
    said = os.read(failure, 4096).decode(errors="replace")
    os.close(failure)
    if said:
        os.waitpid(pid, 0)
        number, _, name = said.partition(" ")
        raise OSError(int(number), os.strerror(int(number)), name or spec["argv"][0])
    return pid


def _become(spec: dict[str, Any], descriptors: dict[int, int]) -> None:
    os.setsid()
    os.umask(0o077)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    high = {target: fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, 64) for target, source in descriptors.items()}
    for target, source in high.items():
        os.dup2(source, target)
    os.chdir(spec["cwd"])
    for path in _candidates(spec["argv"][0], spec["env"].get("PATH", "")):
        try:
            os.execve(path, spec["argv"], spec["env"])
        except (FileNotFoundError, NotADirectoryError):
            continue
    raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), spec["argv"][0])


def _candidates(program: str, path: str) -> list[str]:
    return [program] if "/" in program else [f"{directory}/{program}" for directory in path.split(":") if directory]


def remove_tree(top: str) -> None:
    """Remove a directory and what is in it, as far as that is allowed."""
    for directory, directories, files in os.walk(top, topdown=False):
        for name in files + directories:
            path = os.path.join(directory, name)  # noqa: PTH118
            try:
                os.rmdir(path) if name in directories and not os.path.islink(path) else os.unlink(path)  # noqa: PTH106, PTH108, PTH114
            except OSError:
                continue
    try:
        os.rmdir(top)  # noqa: PTH106
    except OSError:
        return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
