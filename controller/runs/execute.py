"""Runs one flow in the foreground for `controller execute`, without a queue, a record or a supervisor.

The output of the flow goes to standard error. The flow sees the same environment as in a run. Called from a process
with one thread.
"""

import fcntl
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from controller.clock import Clock
from controller.errors import UsageError
from controller.model.deployments import CommandTarget, Deployment
from controller.model.python_environments import PythonRuntime
from controller.records import dataclass
from controller.runs.executors.local.interpreter import install_sdk, search_path
from controller.runs.executors.local.launcher import command_line
from controller.runs.executors.local.run_files import write_parameters
from controller.runs.executors.local.supervisor import temporary_directory
from controller.runs.executors.local.supervisor.flow_events import OUTCOMES, UNREPORTED
from controller.runs.executors.local.supervisor.poll import ready
from controller.runs.executors.local.supervisor.spawn import CALL_FD, EVENTS_FD, PARAMETERS_FD, encode_call
from controller.runs.flow_environment import declared_environment, has_own_temporary, import_variables
from controller.sources.source import native

MAX_REPORT_BYTES = 1 << 18
GRACE_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowResult:
    """The outcome of a flow: its exit code, negative for a signal, and its result, or its error in one line.

    `skipped`: whether it had nothing to do; `reason` says why.
    """

    exit_code: int
    result: Any = None
    error: str | None = None
    timed_out: bool = False
    skipped: bool = False
    reason: str | None = None


def execute(
    deployment: Deployment,
    parameters: Mapping[str, Any],
    root: Path,
    environment: Mapping[str, str],
    clock: Clock,
    bases: Sequence[str] = ("/tmp",),
    python: PythonRuntime | None = None,
) -> FlowResult:
    """Run the flow to its end, with its TMPDIR below one of `bases`. Raises UsageError if its program is not found.

    `python` is the interpreter of the flow, None for the controller's own.
    """
    with ExitStack() as ending:
        directory = ending.enter_context(tempfile.TemporaryDirectory(prefix="controller-"))
        env = {
            **declared_environment(environment, deployment),
            **{name: native(value) for name, value in deployment.env.items()},
            **import_variables(deployment, root),
            "CONTROLLER_DEPLOYMENT": deployment.name,
        }
        if not has_own_temporary(deployment):
            lock = os.open(f"{directory}/{temporary_directory.LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            ending.callback(os.close, lock)
            private = temporary_directory.make(bases, directory, lock)
            ending.callback(temporary_directory.remove, private, lock)
            env["TMPDIR"] = private.path
        sdk = None
        if python is not None:
            env["PATH"] = search_path(python, env["PATH"])
            sdk = install_sdk(Path(directory, "sdk"))
        argv, call = command_line(deployment, parameters, root, Path(directory, "pycache"), python, sdk)
        argv, call["is_interactive"] = [native(word) for word in argv], True
        cwd = root / native(deployment.working_directory)
        program = _find_program(argv[0], cwd, env["PATH"])
        files = {CALL_FD: Path(directory) / "call"}
        files[CALL_FD].write_bytes(encode_call(call))
        if isinstance(deployment.target, CommandTarget):
            files[PARAMETERS_FD] = write_parameters(parameters, Path(directory), None)
            env |= {
                "CONTROLLER_PARAMETERS_FILE": str(files[PARAMETERS_FD]),
                "CONTROLLER_PARAMETERS_FD": str(PARAMETERS_FD),
            }
        read, write = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(read, False)
        pid = os.fork()
        if pid == 0:
            _exec_flow(program, argv, env, cwd, files, write)
        os.close(write)
        seconds = None if deployment.timeout is None else deployment.timeout.total_seconds()
        try:
            deadline = None if seconds is None else clock.monotonic() + seconds
            status, timed_out, received = _wait(pid, read, deadline, clock)
        finally:
            os.close(read)
    return _result(deployment, status, _parse_report(received), timed_out=timed_out)


def _result(deployment: Deployment, status: int, reported: Mapping[str, Any], *, timed_out: bool) -> FlowResult:
    target, result, error = deployment.target, reported.get("result"), reported.get("error")
    skip_exit_code = target.skip_exit_code if isinstance(target, CommandTarget) else None
    if not timed_out and status == 0 and "skipped" in reported:
        return FlowResult(exit_code=0, skipped=True, reason=reported["skipped"])
    if not timed_out and status == skip_exit_code:
        return FlowResult(exit_code=status, skipped=True, reason=f"exit code {status}")
    if status == 0 and not isinstance(target, CommandTarget) and "result" not in reported:
        return FlowResult(exit_code=1, error=error or UNREPORTED, timed_out=timed_out)
    return FlowResult(exit_code=status, result=result, error=error, timed_out=timed_out)


def _find_program(name: str, cwd: Path, path: str) -> str:
    """Return what to execute in `cwd`: a name with a slash as it is, another one with its directory from `path`."""
    program = shutil.which(str(cwd / name) if "/" in name else name, path=path)
    if program is None:
        hint = "Give its absolute path, or install it in a directory of the PATH of a run."
        raise UsageError(f"The program {name} was not found.", hint=hint)
    return name if "/" in name else program


def _exec_flow(
    program: str, argv: list[str], env: Mapping[str, str], cwd: Path, files: Mapping[int, Path], events: int
) -> None:
    """Replace this forked process by the flow. Never returns."""
    try:
        os.chdir(cwd)
        sources = {
            0: os.open(os.devnull, os.O_RDONLY),
            1: 2,
            EVENTS_FD: events,
            **{number: os.open(file, os.O_RDONLY) for number, file in files.items()},
        }
        high = {target: fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, 64) for target, source in sources.items()}
        for target, source in high.items():
            os.dup2(source, target)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores these; all others are inherited from the shell
            signal.signal(number, signal.SIG_DFL)
        os.execve(program, argv, dict(env))
    except OSError as error:
        os.write(2, f"{error.filename or program}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def _wait(pid: int, events: int, deadline: float | None, clock: Clock) -> tuple[int, bool, bytes]:
    """Wait until the flow exits, and stop it at the deadline or after an interrupt.

    Return its exit code, whether the deadline was reached, and the events that it sent.
    """
    handle = os.pidfd_open(pid)
    received, open_ends, warnings = b"", [events], 0
    try:
        while not ready([handle], 0):
            seconds = None if deadline is None else max(0.0, deadline - clock.monotonic())
            readable = ready([handle, *open_ends], seconds)
            if events in readable:
                chunk = os.read(events, MAX_REPORT_BYTES)
                open_ends = [events] if chunk else []
                received = (received + chunk)[-MAX_REPORT_BYTES:]  # the result comes last
            if not readable:
                os.kill(pid, signal.SIGKILL if warnings else signal.SIGTERM)
                warnings, deadline = warnings + 1, clock.monotonic() + GRACE_SECONDS
    except KeyboardInterrupt:
        _terminate(pid, handle)
        raise
    finally:
        os.close(handle)
    with suppress(BlockingIOError):
        received += os.read(events, MAX_REPORT_BYTES)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return status, warnings > 0, received


def _terminate(pid: int, handle: int) -> None:
    """Send SIGTERM, and SIGKILL after the grace period or a second interrupt."""
    with suppress(KeyboardInterrupt):
        os.kill(pid, signal.SIGTERM)
        ready([handle], GRACE_SECONDS)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _parse_report(received: bytes) -> dict[str, Any]:
    report: dict[str, Any] = {}
    for line in received.splitlines():
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict) and event.keys() <= OUTCOMES:
            report.update(event)
    return report
