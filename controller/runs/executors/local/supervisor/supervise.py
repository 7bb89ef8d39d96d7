"""The supervisor of one attempt: starts the flow, enforces its timeout, captures its output and records its outcome.

`executors.local.launcher` starts it, or the fork server forks it, in a separate session, so that it outlives both. It
imports everything before READY, because an upgrade may replace files while it runs. It uses neither the database nor
the network. The order of its writes is the protocol of docs/runs.md:

    lock, held for life -> READY to 1 -> GO from 0 -> `started` -> the flow -> `exit`, durable

End of file instead of GO means that nothing ran. A free lock without `started` and `exit` means the same.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time

from controller.runs.executors.local.supervisor import process_tree, secret_values, spawn, temporary_directory
from controller.runs.executors.local.supervisor.cgroup import ControlGroup
from controller.runs.executors.local.supervisor.export_mount import Export
from controller.runs.executors.local.supervisor.flow_process import FlowRunner
from controller.runs.executors.local.supervisor.resource_limits import Limits
from controller.runs.executors.local.supervisor.wake_signals import WakeSignal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

STARTED_BYTES = 1 << 9
EXIT_BYTES = 1 << 14


class WarmStart:
    """How a forked supervisor calls the flow in a fork of itself, and how its fork server was started.

    `environment` and `executable` are those that the fork server started with; `has_preloaded`: whether it has imported
    installed packages.
    """

    def __init__(
        self,
        call: Callable[[dict[str, Any], dict[str, str]], int],
        environment: dict[str, str],
        executable: str,
        *,
        has_preloaded: bool,
    ) -> None:
        self.call = call
        self.environment = environment
        self.executable = executable
        self.has_preloaded = has_preloaded


class _Private:
    """The temporary directory of the attempt, and the lock that records it."""

    def __init__(self, spec: dict[str, Any], lock: int) -> None:
        """Create the directory. Raises OSError."""
        self.directory = temporary_directory.make(spec["tmp"], ".", lock, spec.get("user"))
        self._lock = lock

    def remove(self) -> None:
        """Remove the directory."""
        temporary_directory.remove(self.directory, self._lock)


def main(directory: str, warm_start: WarmStart | None = None) -> int:
    """Supervise the run that `run.json` in `directory` describes. Returns only in the process of a forked flow."""
    own = os.getpid()
    try:
        return _follow_protocol(directory, warm_start)
    except OSError as error:
        if os.getpid() != own:
            raise
        _log_error(error)
        os._exit(1)


def _follow_protocol(directory: str, warm_start: WarmStart | None) -> int:
    os.chdir(directory)
    with open("run.json", "rb", 0) as stream:
        spec = json.load(stream)
    if spec.get("die_with_parent"):
        process_tree.die_with(os.getppid())
    try:
        lock = _take_lock()
        if lock is None:
            os._exit(3)
        _reserve()
        private = None if spec.get("tmp") is None else _Private(spec, lock)
    except OSError as error:
        # The controller waits for READY, and gets the error instead.
        os.write(1, b"FAILED %d\n" % (error.errno or 0))
        raise
    process_tree.adopt_orphans()
    wake = WakeSignal()
    reach("locked", spec)
    try:
        os.write(1, b"READY\n")
        reach("ready", spec)
        secrets = _wait_for_go()
    except ConnectionError:  # the controller has died
        secrets = None
    if secrets is None:
        if private is not None:
            private.remove()
        os._exit(0)
    reach("go", spec)
    return _supervise(spec, secrets, private, wake, warm_start)


def _supervise(
    spec: dict[str, Any],
    secrets: dict[str, str | None],
    private: _Private | None,
    wake: WakeSignal,
    warm_start: WarmStart | None,
) -> int:
    started = _clocks()
    try:
        env = {**spec["env"], **secret_values.resolve(spec.get("secrets") or {}, secrets)}
    except secret_values.SecretError as error:
        _finish(spec, started, {"outcome": "failed", "reason": str(error)}, private)
    if private is not None:
        env["TMPDIR"] = private.directory.path
    export = _hold_code(spec)
    limits = Limits(spec.get("resources") or {}, spec["grace"], spec.get("open_files"))
    group = ControlGroup.make(
        spec.get("cgroup"), spec.get("cgroup_name") or f"controller-{spec['nonce']}", limits.cgroup_limits()
    )
    mark("started", {"nonce": spec["nonce"], "at": started[0]})
    reach("started", spec)
    flow = FlowRunner(spec, wake, limits, group)
    is_fork = warm_start is not None and _may_fork(spec, env, warm_start)
    try:
        pid = flow.start(env, is_fork=is_fork)
    except OSError as error:
        outcome: dict[str, Any] = {"outcome": "failed", "reason": _start_failure(spec, error)}
    else:
        if pid == 0:
            assert warm_start is not None
            return warm_start.call(spec["call"], env)
        reach("forked", spec)
        outcome = flow.wait()
    outcome.update(flow.close())
    if export is not None and outcome["outcome"] == "failed":
        export.mark_unverified()
    reach("ended", spec)
    _finish(spec, started, outcome, private)


def _may_fork(spec: dict[str, Any], env: dict[str, str], warm_start: WarmStart) -> bool:
    """Return whether the flow may run in a fork of this process: it is the right interpreter, in the right state."""
    if spec["argv"][0] != warm_start.executable:
        return False
    return spawn.may_fork(spec, env, warm_start.environment, has_preloaded=warm_start.has_preloaded)


def _clocks() -> tuple[float, float]:
    """Return the wall clock, and the seconds since boot, which clock changes do not affect."""
    return time.time(), time.clock_gettime(time.CLOCK_BOOTTIME)


def _start_failure(spec: dict[str, Any], error: OSError) -> str:
    """Return why the flow could not be started. A working directory is named as in the deployment."""
    name = error.filename or spec["argv"][0]
    if name == spec["cwd"]:
        relative = spec.get("working_directory")
        name = f"the working directory {relative}" if relative else "the directory of its code"
    return f"could not be started: {error.strerror}: {name}"


def _hold_code(spec: dict[str, Any]) -> Export | None:
    """Lock and protect the export that this run executes; return None for a source without exports."""
    if spec.get("export") is None:
        return None
    export = Export(spec["export"], spec["env"].get("CONTROLLER_RUN_ID", ""))
    export.lock()
    export.protect((spec.get("user") or {"uid": os.getuid()})["uid"])
    return export


def _finish(
    spec: dict[str, Any],
    started: tuple[float, float],
    outcome: dict[str, Any],
    private: _Private | None,
) -> NoReturn:
    """Write `exit` and end. The outcome always has disk space; on a full disk the flow's result may be dropped."""
    if private is not None:
        private.remove()
    ended = _clocks()
    times = {"started_at": started[0], "finished_at": ended[0], "seconds": ended[1] - started[1]}
    facts = {"nonce": spec["nonce"], **times, **outcome}
    try:
        mark("exit", facts, is_durable=True)
    except OSError:
        facts.pop("result", None)
        mark("exit", facts, is_durable=True)
    reach("exited", spec)
    os._exit(0)


def _log_error(error: OSError) -> None:
    """Append one line with the error to `supervisor.log`; ignore it if that fails, since there is no other place."""
    path = "" if error.filename is None else f"{error.filename}: "
    try:
        with open("supervisor.log", "a", encoding="utf-8") as stream:
            stream.write(f"the supervisor failed: {path}{error.strerror}\n")
    except OSError:
        return


def _take_lock() -> int | None:
    """Hold the run's lock for the life of this process, write our process id to it, and return its descriptor."""
    lock = os.open("lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return None
    temporary_directory.write_holder(lock)
    return lock


def _wait_for_go() -> dict[str, str | None] | None:
    """Wait for GO and return the secrets that come with it; None if it is incomplete because the controller ended."""
    message = b""
    while chunk := os.read(0, 1 << 16):
        message += chunk
    if message == b"GO\n":
        return {}
    if not (message.startswith(b"GO {") and message.endswith(b"\n")):
        return None
    secrets: dict[str, str | None] = json.loads(message[3:])
    return secrets


def _reserve() -> None:
    """Reserve disk space for `started` and `exit`. Raises OSError."""
    for name, size in (("started.tmp", STARTED_BYTES), ("exit.tmp", EXIT_BYTES)):
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.posix_fallocate(descriptor, 0, size)
        os.close(descriptor)


def mark(name: str, content: dict[str, Any], *, is_durable: bool = False) -> None:
    """Write a file atomically (temporary file, rename); with `is_durable`, fsync the file and its directory."""
    descriptor = os.open(f"{name}.tmp", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    data = json.dumps(content).encode()
    written = 0
    while written < len(data):
        written += os.pwrite(descriptor, data[written:], written)
    os.ftruncate(descriptor, len(data))
    if is_durable:
        os.fsync(descriptor)
    os.close(descriptor)
    os.rename(f"{name}.tmp", name)
    if is_durable:
        directory = os.open(".", os.O_RDONLY | os.O_CLOEXEC)
        os.fsync(directory)
        os.close(directory)


def reach(point: str, spec: dict[str, Any]) -> None:
    """Simulate a power cut at this point if a test requests it with `crashpoint` in `run.json`."""
    if spec.get("crashpoint") == point:
        os.kill(os.getpid(), signal.SIGKILL)
