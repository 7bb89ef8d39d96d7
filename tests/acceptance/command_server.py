"""Runs commands of controller in forks of a process that has already imported it.

An import takes most of the time of a short command, and stories run thousands of commands. The process has also run a
controller, so that forks find the statements and schemas that they use compiled. A fork has its own process
id, environment, working directory and standard streams, and it runs the same `main` as the installed script. Stories
about the start of the script itself run the installed one: `Machine.run(CONTROLLER, ...)`. Used by the harness.
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
        self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdout: int, stderr: int
    ) -> Process:
        """Run `controller` with these arguments; standard input is empty."""
        request = json.dumps({"arguments": arguments, "cwd": str(cwd), "env": dict(env)}).encode()
        assert len(request) < _REQUEST_BYTES
        report, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            socket.send_fds(self._requests, [request], [stdout, stderr, theirs.fileno()])
        return Process(report)

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
        message, files, _, _ = socket.recv_fds(requests, _REQUEST_BYTES, 3)
        if not message:
            sys.exit()
        stdout, stderr, report = files
        pid = os.fork()
        if pid == 0:
            break
        os.close(stdout)
        os.close(stderr)
        reports[pid] = socket.socket(fileno=report)
        reports[pid].send(str(pid).encode())
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for file in (report, woken, wake, requests.detach(), *(one.detach() for one in reports.values())):
        os.close(file)
    _become(json.loads(message), stdout, stderr)


def _report_ended(reports: dict[int, socket.socket]) -> None:
    while reports:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with reports.pop(pid) as report, suppress(BrokenPipeError):
            report.send(str(status).encode())


def _become(request: Any, stdout: int, stderr: int) -> None:
    """Take over the arguments, the environment, the directory and the streams of a command."""
    for number, file in enumerate((os.open(os.devnull, os.O_RDONLY), stdout, stderr)):
        os.dup2(file, number)
        os.close(file)
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
    controller = Controller(Settings(location=location), StopSignal())
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
    _import_everything()
    _serve()
    _run()
