"""Runs commands of controller in forks of a process that has already imported it.

An import takes most of the time of a short command, and stories run thousands of commands. The process has also run a
controller, so that forks find the statements and schemas that they use compiled. A fork has its own process
id, environment, working directory and standard streams, and it runs the same `main` as the installed script. Stories
about the start of the script itself run the installed one: `Machine.run(CONTROLLER, ...)`.
"""

import atexit
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

CONTROLLER = Path(sys.executable).parent / "controller"
_REQUEST_BYTES = 1 << 20
_IMPORTED_LATE = ("cronsim", "difflib", "git", "jsonschema.validators", "secrets", "uvicorn.lifespan.off")


class Process:
    """A command that runs. It has the methods of `subprocess.Popen` that the stories use."""

    def __init__(self, report: socket.socket) -> None:
        self._report = report
        self.returncode: int | None = None
        self.pid = int(report.recv(64))

    def poll(self) -> int | None:
        """Return the exit code, or None while the process runs."""
        return self._read_exit(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code; a signal is a negative number. Raises TimeoutExpired."""
        code = self._read_exit(timeout)
        if code is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(f"controller (pid {self.pid})", timeout)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has ended since
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _read_exit(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._report], [], [], timeout)[0]:
            self.returncode = os.waitstatus_to_exitcode(int(self._report.recv(64)))
            self._report.close()
        return self.returncode


class CommandServer:
    """The process that has imported controller. `start` forks it."""

    def __init__(self) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__], env={"PATH": os.defpath, "LANG": "C.UTF-8"}, stdin=theirs.fileno(), cwd="/"
            )

    def start(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdout: int,
        stderr: int,
        stdin: int | None = None,
        has_own_group: bool = False,
    ) -> Process:
        """Run `controller` with these arguments; without `stdin`, standard input is empty.

        With a process group of its own, the process can be stopped and continued as shells do that.
        """
        request = {"arguments": arguments, "cwd": str(cwd), "env": dict(env), "has_own_group": has_own_group}
        message = json.dumps(request).encode()
        assert len(message) < _REQUEST_BYTES
        report, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, open(os.devnull, "rb") as nothing:  # noqa: PTH123
            source = nothing.fileno() if stdin is None else stdin
            socket.send_fds(self._requests, [message], [source, stdout, stderr, theirs.fileno()])
        return Process(report)

    def run(
        self, *arguments: str, cwd: Path, env: Mapping[str, str], stdout: int | None = None, timeout: float = 60
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run `controller` to its end and return its exit code and its output, unless `stdout` takes that."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            target = out.fileno() if stdout is None else stdout
            process = self.start(arguments, cwd=cwd, env=env, stdout=target, stderr=err.fileno())
            try:
                code = process.wait(timeout)
            finally:
                process.kill()
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(arguments, code, out.read(), err.read())

    def stop(self) -> None:
        """End the process. Commands that still run are not affected."""
        self._requests.close()
        self._process.wait(60)


def _serve() -> None:
    """Fork for each request and report how the forks end. Returns in the process of a command, prepared for it."""
    requests = socket.socket(fileno=os.dup(0))
    woken, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    reports: dict[int, socket.socket] = {}
    while True:
        readable = select.select([requests.fileno(), woken], [], [])[0]
        if woken in readable:
            os.read(woken, 4096)
            _report_ended(reports)
        if requests.fileno() not in readable:
            continue
        message, files, _, _ = socket.recv_fds(requests, _REQUEST_BYTES, 4)
        if not message:
            sys.exit()
        request = json.loads(message)
        *streams, report = files
        pid = os.fork()
        if request["has_own_group"]:
            os.setpgid(pid, 0)  # in both processes: neither knows which of them is first
        if pid == 0:
            break
        for file in streams:
            os.close(file)
        reports[pid] = socket.socket(fileno=report)
        reports[pid].send(str(pid).encode())
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for file in (report, woken, wake, requests.detach(), *(one.detach() for one in reports.values())):
        os.close(file)
    _become(request, streams)


def _report_ended(reports: dict[int, socket.socket]) -> None:
    while reports:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with reports.pop(pid) as report, suppress(BrokenPipeError):
            report.send(str(status).encode())


def _become(request: Any, streams: list[int]) -> None:
    """Take over the arguments, the environment, the directory and the streams of a command."""
    for number, file in enumerate(streams):
        os.dup2(file, number)
        os.close(file)
    encoding = request["env"].get("PYTHONIOENCODING", "utf-8")
    sys.stdout = vars(sys)["__stdout__"] = open(1, "w", encoding=encoding, closefd=False)  # noqa: SIM115
    sys.stderr = vars(sys)["__stderr__"] = open(2, "w", 1, encoding, "backslashreplace", closefd=False)  # noqa: SIM115
    os.environ.clear()  # noqa: TID251
    os.environ.update(request["env"])  # noqa: TID251
    time.tzset()
    os.chdir(request["cwd"])
    sys.argv = [str(CONTROLLER), *request["arguments"]]
    sys.orig_argv = [sys.executable, *sys.argv]
    sys.path[0] = str(CONTROLLER.parent)


def _import_everything() -> None:
    """Import every module of controller, and what its functions import when they need it."""
    import gc
    import importlib
    import pkgutil
    import tempfile

    import controller

    names = [module.name for module in pkgutil.walk_packages(controller.__path__, "controller.")]
    for name in (*[name for name in names if "migrations" not in name], *_IMPORTED_LATE):
        importlib.import_module(name)
    with tempfile.TemporaryDirectory() as directory:
        _rehearse(Path(directory))
    gc.collect()
    gc.freeze()


def _rehearse(directory: Path) -> None:
    """Let a controller follow a directory and run a deployment, so that its statements and schemas are compiled."""
    from controller.app.controller import Controller
    from controller.app.stop_signal import StopSignal
    from controller.settings import Location, Settings

    limit, mask = resource.getrlimit(resource.RLIMIT_NOFILE), os.umask(0o077)
    (directory / "deployments").mkdir()
    (directory / "deployments/a.yaml").write_text("name: a\ncommand: ['true']\nschedule: {interval: 1s}\n")
    location = Location(repo=directory, path="deployments", ref=None, state_dir=directory / "state")
    # Without draining, a supervisor could still write to the directory while it is removed.
    controller = Controller(Settings(location=location, drain=True), StopSignal())
    controller.start()
    pause, deadline = threading.Event(), time.monotonic() + 60
    while not any(deployment.last_run for deployment in controller.status().deployments):
        assert time.monotonic() < deadline
        pause.wait(0.05)
    controller.stop()
    os.umask(mask)
    resource.setrlimit(resource.RLIMIT_NOFILE, limit)


def _run() -> NoReturn:
    """Run the command and exit as an interpreter does, without the time that it takes to free every module."""
    from controller.__main__ import main

    code: Any = 1
    try:
        main()
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
    vars(threading)["_shutdown"]()
    vars(atexit)["_run_exitfuncs"]()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


if __name__ == "__main__":
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup ignores it, and a controller respects that
    _import_everything()
    _serve()
    _run()
