"""The supervisor of one attempt: starts the flow, stops it on time, keeps its output, and records how it ended.

`executors.local.launcher` starts it, or the fork server forks it, in a session of its own, so that it outlives both.
It imports everything before READY, because an upgrade may replace files while it runs. It uses neither the database
nor the network. The order of what it writes is the protocol of docs/runs.md:

    lock, held for life -> READY on 1 -> GO on 0 -> `started` -> the flow -> `exit`, durable

End of file instead of GO means that nothing ran. A free lock without either mark means the same.
"""

import fcntl
import json
import os
import signal
import time
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from controller.runs.executors.local.supervisor import process_tree, secret_values, spawn, temporary_directory
from controller.runs.executors.local.supervisor.cgroup import ControlGroup
from controller.runs.executors.local.supervisor.export_mount import Export
from controller.runs.executors.local.supervisor.flow_runner import FlowRunner
from controller.runs.executors.local.supervisor.resource_limits import Limits
from controller.runs.executors.local.supervisor.wake_signals import WakeSignal

STARTED_BYTES = 1 << 9
EXIT_BYTES = 1 << 14

Warm = Callable[[dict[str, Any], dict[str, str]], int]


class Warmth(NamedTuple):
    """What a forked supervisor can do: call the flow in a fork of itself. `environment`: what its server began with."""

    call: Warm
    environment: dict[str, str]


def main(directory: str, warmth: Warmth | None = None) -> int:
    """Supervise the run described by `run.json` here. Returns in the flow's own process only, if that is a fork."""
    own = os.getpid()
    try:
        return _follow_protocol(directory, warmth)
    except OSError as error:
        if os.getpid() != own:
            raise
        _complain(error)
        os._exit(1)


def _follow_protocol(directory: str, warmth: Warmth | None) -> int:
    os.chdir(directory)
    with open("run.json", encoding="utf-8") as stream:
        spec = json.load(stream)
    try:
        if not _take_lock():
            os._exit(3)
        _reserve()
        private = None if spec.get("tmp") is None else temporary_directory.make(spec["tmp"], ".", spec.get("user"))
    except OSError as error:
        # The controller waits for READY: it hears instead what there is not enough of.
        os.write(1, b"FAILED %d\n" % (error.errno or 0))
        raise
    process_tree.adopt_orphans()
    wake = WakeSignal()
    reach("locked", spec)
    try:
        os.write(1, b"READY\n")
        reach("ready", spec)
        given = _hear()
    except ConnectionError:  # the controller has died
        given = None
    if given is None:
        if private is not None:
            temporary_directory.remove(private, ".")
        os._exit(0)
    reach("go", spec)
    return _supervise(spec, given, private, wake, warmth)


def _supervise(
    spec: dict[str, Any],
    given: dict[str, str | None],
    private: temporary_directory.Temporary | None,
    wake: WakeSignal,
    warmth: Warmth | None,
) -> int:
    started = _clocks()
    try:
        env = {**spec["env"], **secret_values.resolve(spec.get("secrets") or {}, given)}
    except secret_values.SecretError as error:
        _finish(spec, started, {"outcome": "failed", "reason": str(error)}, private)
    if private is not None:
        env["TMPDIR"] = private.path
    export = _hold_code(spec)
    limits = Limits(spec.get("resources") or {}, spec["grace"], spec.get("open_files"))
    group = ControlGroup.make(
        spec.get("cgroup"), spec.get("cgroup_name") or f"controller-{spec['nonce']}", limits.of_group()
    )
    mark("started", {"nonce": spec["nonce"], "at": started[0]})
    reach("started", spec)
    flow = FlowRunner(spec, wake, limits, group)
    is_fork = warmth is not None and spawn.may_fork(spec, warmth.environment)
    try:
        pid = flow.start(env, is_fork=is_fork)
    except OSError as error:
        ending: dict[str, Any] = {"outcome": "failed", "reason": _not_started(spec, error)}
    else:
        if pid == 0:
            assert warmth is not None
            return warmth.call(spec["call"], env)
        reach("forked", spec)
        ending = flow.attend()
    ending.update(flow.close())
    if export is not None and ending["outcome"] == "failed":
        export.doubt()
    reach("ended", spec)
    _finish(spec, started, ending, private)


def _clocks() -> tuple[float, float]:
    """The time of day, and one that nobody sets: seconds since the machine was started."""
    return time.time(), time.clock_gettime(time.CLOCK_BOOTTIME)


def _not_started(spec: dict[str, Any], error: OSError) -> str:
    """Why the flow could not be started. Its working directory is named as its deployment names it."""
    name = error.filename or spec["argv"][0]
    if name == spec["cwd"]:
        place = spec.get("working_directory")
        name = f"the working directory {place}" if place else "the directory of its code"
    return f"could not be started: {error.strerror}: {name}"


def _hold_code(spec: dict[str, Any]) -> Export | None:
    """Hold the export that this run executes, and protect it; None in a source without exports."""
    if spec.get("export") is None:
        return None
    export = Export(spec["export"], spec["env"].get("CONTROLLER_RUN_ID", ""))
    export.hold()
    export.protect((spec.get("user") or {"uid": os.getuid()})["uid"])
    return export


def _finish(
    spec: dict[str, Any],
    started: tuple[float, float],
    ending: dict[str, Any],
    private: temporary_directory.Temporary | None,
) -> NoReturn:
    """Write `exit` and end. On a full disk the outcome has its place already, what the flow returned may not."""
    if private is not None:
        temporary_directory.remove(private, ".")
    ended = _clocks()
    times = {"started_at": started[0], "finished_at": ended[0], "seconds": ended[1] - started[1]}
    facts = {"nonce": spec["nonce"], **times, **ending}
    try:
        mark("exit", facts, is_durable=True)
    except OSError:
        facts.pop("result", None)
        mark("exit", facts, is_durable=True)
    reach("exited", spec)
    os._exit(0)


def _complain(error: OSError) -> None:
    """Say in one line what the system refused. Where that can't be written, nobody is there to read it."""
    place = "" if error.filename is None else f"{error.filename}: "
    try:
        with open("supervisor.log", "a", encoding="utf-8") as complaints:
            complaints.write(f"the supervisor ended: {place}{error.strerror}\n")
    except OSError:
        return


def _take_lock() -> bool:
    """Hold the run's lock for the life of this process; it says who that is."""
    lock = os.open("lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    os.ftruncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())
    return True


def _hear() -> dict[str, str | None] | None:
    """Wait for GO and what comes with it; None if it did not come whole, which is how a controller's end looks."""
    said = b""
    while chunk := os.read(0, 1 << 16):
        said += chunk
    if said == b"GO\n":
        return {}
    if not (said.startswith(b"GO {") and said.endswith(b"\n")):
        return None
    given: dict[str, str | None] = json.loads(said[3:])
    return given


def _reserve() -> None:
    """Take room for both marks while there is some. Raises OSError."""
    for name, size in (("started.tmp", STARTED_BYTES), ("exit.tmp", EXIT_BYTES)):
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.posix_fallocate(descriptor, 0, size)
        os.close(descriptor)


def mark(name: str, content: dict[str, Any], *, is_durable: bool = False) -> None:
    """Write a file that is there whole or not at all: temp, rename. Durable: fsync of the file and its directory."""
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
    """End here like by a power cut if a test has asked for it: `crashpoint` of `run.json`."""
    if spec.get("crashpoint") == point:
        os.kill(os.getpid(), signal.SIGKILL)
