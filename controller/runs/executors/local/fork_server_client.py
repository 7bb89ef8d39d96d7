"""The controller's side of the fork server: starts it with the engine, sends requests, and replaces it when it fails.

Called by the launcher, on the engine's thread only. If a request can't be sent immediately, the launcher starts the
supervisor cold. Whether the fork server acted on a request shows on the supervisor's own socket, never here.
"""

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import controller
from controller.clock import Clock
from controller.runs.executors.local.supervisor.cold_start import IMPORT
from controller.runs.executors.local.supervisor.process_title import RESERVED

log = logging.getLogger(__name__)

PACKAGE = Path(controller.__file__).parents[1]
_SERVE = IMPORT + "from controller.runs.executors.local.supervisor.fork_server import main; sys.exit(main(path))"
_TITLE_PADDING = "-" * 200
_VALUE_PADDING = {name: "-" * size for name, size in RESERVED.items()}

RESTART_SECONDS = 10.0
END_SECONDS = 2.0


class ForkServer:
    """The fork server of this controller. It starts with `environment`, the base environment of all flows."""

    def __init__(self, environment: Mapping[str, str], clock: Clock) -> None:
        self._environment = environment
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._may_start_at = clock.monotonic()

    def request_fork(self, directory: Path, supervisor_socket: socket.socket) -> bool:
        """Request a supervisor for this directory, with this socket. Return False if the request was not sent."""
        if self._process is not None and self._process.poll() is not None:
            log.warning(
                "The fork server exited; runs start without it for now", extra={"code": self._process.returncode}
            )
            self.stop()
        self.start()
        if self._socket is None:
            return False
        try:
            socket.send_fds(self._socket, [os.fsencode(directory)], [supervisor_socket.fileno()], socket.MSG_DONTWAIT)
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """Stop the server in whatever state it is; the supervisors that it forked keep running."""
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
        """Start the server unless it is running; at most once in ten seconds if it keeps exiting."""
        if self._process is not None or self._clock.monotonic() < self._may_start_at:
            return
        self._may_start_at = self._clock.monotonic() + RESTART_SECONDS
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-c", _SERVE, str(PACKAGE), _TITLE_PADDING],
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
