"""The controller's side of a fork server: starts it, sends requests, and replaces it when it fails.

Called by the launcher, on the engine's thread only. If a request can't be sent immediately, the launcher starts the
supervisor in another way. Whether the fork server acted on a request shows on the supervisor's own socket, never here.
"""

import logging
import os
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

from controller.clock import Clock
from controller.model.python_environments import PythonRuntime
from controller.runs.executors.local.interpreter import PACKAGE, interpreter_command
from controller.runs.executors.local.supervisor.cold_start import IMPORT
from controller.runs.executors.local.supervisor.process_title import RESERVED

log = logging.getLogger(__name__)

_DROP_DIRECTORY = "import sys; getattr(sys.flags, 'safe_path', False) or sys.path.pop(0); "  # Python 3.10 has no `-P`
_MAIN = "from controller.runs.executors.local.supervisor.fork_server import main; "
_SERVE = _DROP_DIRECTORY + IMPORT + _MAIN + "sys.exit(main(path, sys.argv[2], sys.argv[3:-1]))"
_TITLE_PADDING = "-" * 200
_VALUE_PADDING = {name: "-" * size for name, size in RESERVED.items()}

RESTART_SECONDS = 10.0
START_SECONDS = 60.0
"""A server that is not ready after this time, because a module that it preloads hangs, is killed."""


class ForkServer:
    """A fork server: that of the controller's interpreter, or with `python` that of a Python environment.

    It starts with `environment`, the base environment of all flows. `sdk` is the folder with the copy of our SDK.
    `problem` says why nothing can be forked from it.
    """

    def __init__(
        self, environment: Mapping[str, str], clock: Clock, python: PythonRuntime | None = None, sdk: Path | None = None
    ) -> None:
        self._environment = environment
        self._clock = clock
        self._python = python
        self._executable = interpreter_command(python)[0]
        self._sdk = sdk
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._may_start_at = self._started_at = self.used_at = clock.monotonic()
        self.is_ready = False
        self.problem: str | None = None

    def request_fork(self, directory: Path, supervisor_socket: socket.socket) -> bool:
        """Request a supervisor for this directory, with this socket. Return False if the request was not sent.

        The server of an environment gets requests when it is ready: what it preloads may take seconds.
        """
        self.used_at = self._clock.monotonic()
        self.check()
        self.start()
        if self._socket is None or (self._python is not None and not self.is_ready):
            return False
        try:
            socket.send_fds(self._socket, [os.fsencode(directory)], [supervisor_socket.fileno()], socket.MSG_DONTWAIT)
        except OSError:
            return False
        return True

    def check(self) -> None:
        """Read what the server sent, and note whether it has exited."""
        process = self._process
        if process is None or (not self.is_ready and not self._read_status()):
            return
        if process.poll() is not None:
            fields = {"code": process.returncode, "executable": self._executable}
            log.warning("The fork server exited; runs start without it for now", extra=fields)
            self.stop()

    def _read_status(self) -> bool:
        """Read READY or PROBLEM if it has been sent; return False if the server can't be used and was stopped."""
        assert self._socket is not None
        try:
            message = self._socket.recv(8192, socket.MSG_DONTWAIT)
        except BlockingIOError:
            if self._python is not None and self._clock.monotonic() > self._started_at + START_SECONDS:
                return self._give_up(f"it was not ready after {START_SECONDS:.0f} seconds")
            return True
        except OSError:
            return True  # it has exited
        self.is_ready = message == b"READY"
        if message.startswith(b"PROBLEM "):
            return self._give_up(message.removeprefix(b"PROBLEM ").decode(errors="replace"))
        return True

    def _give_up(self, problem: str) -> bool:
        self.problem = problem
        fields = {"executable": self._executable, "problem": problem}
        log.warning("Runs of this interpreter start without a fork server", extra=fields)
        self.stop()
        return False

    def stop(self) -> None:
        """Stop the server in whatever state it is; the supervisors that it forked keep running."""
        self.is_ready = False
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            try:
                self._process.wait(0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    @property
    def pid(self) -> int | None:
        """The process id of the server, or None if it has not been started."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the server unless it is running or useless; at most once in ten seconds if it keeps exiting."""
        now = self._clock.monotonic()
        if self._process is not None or self.problem is not None or now < self._may_start_at:
            return
        self._may_start_at, self._started_at = now + RESTART_SECONDS, now
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        preload = () if self._python is None else self._python.preload
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [
                        *interpreter_command(self._python),
                        *("-c", _SERVE, str(PACKAGE), str(self._sdk or ""), *preload, _TITLE_PADDING),
                    ],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env={**self._environment, **_VALUE_PADDING},
                    cwd="/",
                    start_new_session=True,
                )
            except OSError as error:
                log.warning("Failed to start the fork server; runs start without it", extra={"error": str(error)})
                self.stop()
